package dev.dropless.kernels.cpu;

import java.lang.foreign.MemorySegment;

/** Copies of a tier: between layouts, formats and places. Strides and offsets are in elements; BLOCK and PANEL are those of {@link TileKernels}. */
interface CopyKernels {

    /** Makes pairs of elements 2i, 2i+1 of a run of bfloat16. */
    default void pairTerms(int pairs, MemorySegment source, long sourceOffset, float[] target, int targetOffset) {
        throw new UnsupportedOperationException("no pairs");
    }

    /** Makes rows of pairs of rows 2k, 2k+1 of a panel of bfloat16. */
    default void pairRows(int pairs, MemorySegment source, long sourceOffset, float[] target, int targetOffset) {
        throw new UnsupportedOperationException("no pairs");
    }

    /**
     * Transposes blocks of BLOCK x BLOCK elements: block b has element (i, j) at {@code sourceOffset + b * sourceStep + i * sourceStride + j} of the source, and
     * at {@code targetOffset + b * targetStep + j * targetStride + i} of the target.
     *
     * @param blocks how many
     * @param source floats
     */
    void transpose(
            int blocks,
            Storage source,
            int sourceOffset,
            int sourceStride,
            int sourceStep,
            Storage target,
            int targetOffset,
            int targetStride,
            int targetStep);

    /**
     * Copies short rows of floats.
     *
     * @param rows how many
     * @param columns elements of each, BLOCK or PANEL
     */
    default void copyRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        for (int i = 0; i < rows; i++) {
            long from = (sourceOffset + i * sourceStride) * Float.BYTES;
            long to = (targetOffset + i * targetStride) * Float.BYTES;
            MemorySegment.copy(source, from, target, to, (long) columns * Float.BYTES);
        }
    }

    /**
     * Copies several short pieces of every row: {@link #copyRows} for each of the pieces.
     *
     * @param pieces how many
     * @param sourceStep elements from one piece to the next in the source
     * @param targetStep elements from one piece to the next in the target
     */
    default void copyPieces(
            int rows,
            int pieces,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            long sourceStep,
            MemorySegment target,
            long targetOffset,
            long targetStride,
            long targetStep) {
        for (int piece = 0; piece < pieces; piece++) {
            long from = sourceOffset + piece * sourceStep;
            long to = targetOffset + piece * targetStep;
            copyRows(rows, columns, source, from, sourceStride, target, to, targetStride);
        }
    }

    /** As {@link #copyRows}, to memory that will not be read soon. */
    default void writeRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        copyRows(rows, columns, source, sourceOffset, sourceStride, target, targetOffset, targetStride);
    }

    /** Whether {@link #convertRows} is there for a pair of formats. */
    default boolean converts(Format from, Format to) {
        return false;
    }

    /**
     * Copies short rows between F32 and another format, rounding once.
     *
     * @param rows how many
     * @param columns elements of each, BLOCK or PANEL
     */
    default void convertRows(
            int rows,
            int columns,
            Format from,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            Format to,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        throw new UnsupportedOperationException("%s to %s".formatted(from, to));
    }

    /**
     * Copies rows of a packed panel as floats to an array, from a format that {@link #converts}.
     *
     * @param rows how many, of PANEL elements
     * @param sourceOffset first element of the source
     * @param target floats in an array
     * @param targetOffset first element of the target
     */
    default void widenRows(int rows, Storage source, int sourceOffset, Storage target, int targetOffset) {
        int panel = TileKernels.PANEL;
        MemorySegment from = source.segment();
        MemorySegment to = target.segment();
        convertRows(rows, panel, source.format(), from, sourceOffset, panel, Format.F32, to, targetOffset, panel);
    }
}
