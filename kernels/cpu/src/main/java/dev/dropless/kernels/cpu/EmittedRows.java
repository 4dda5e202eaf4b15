package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Copies, conversions and transpositions of rows in emitted machine code. */
abstract class EmittedRows extends EmittedElementwise {

    /** Critical calls, as short as those of {@link EmittedKernels}. */
    private static final class Calls {
        static final MethodHandle TRANSPOSE =
                Linker.nativeLinker().downcallHandle(EmittedTranspose.SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle COPY =
                Linker.nativeLinker().downcallHandle(EmittedConversions.SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle FETCH =
                Linker.nativeLinker().downcallHandle(EmittedCopies.FETCH_SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle COPY_PIECES =
                Linker.nativeLinker().downcallHandle(EmittedCopies.SIGNATURE, Linker.Option.critical(true));

        private Calls() {}
    }

    /** Emitted on first use, once: code is never unloaded. */
    private static final class Avx512 {
        static final EmittedTranspose TRANSPOSE = new EmittedTranspose();
        static final EmittedConversions CONVERSIONS = new EmittedConversions(Width.ZMM);
        static final EmittedCopies COPIES = new EmittedCopies(Width.ZMM);

        private Avx512() {}
    }

    private static final class Avx2 {
        static final EmittedConversions CONVERSIONS = new EmittedConversions(Width.YMM);
        static final EmittedCopies COPIES = new EmittedCopies(Width.YMM);

        private Avx2() {}
    }

    /** Between formats. */
    final EmittedConversions conversions;

    private final EmittedCopies copies;

    EmittedRows(Width width, TileKernels others) {
        super(width, others);
        this.conversions = width == Width.ZMM ? Avx512.CONVERSIONS : Avx2.CONVERSIONS;
        this.copies = width == Width.ZMM ? Avx512.COPIES : Avx2.COPIES;
    }

    @Override
    public void transpose(
            int blocks,
            Storage source,
            int sourceOffset,
            int sourceStride,
            int sourceStep,
            Storage target,
            int targetOffset,
            int targetStride,
            int targetStep) {
        if (blocks == 0) {
            return;
        }
        if (width != Width.ZMM) {
            others.transpose(
                    blocks,
                    source,
                    sourceOffset,
                    sourceStride,
                    sourceStep,
                    target,
                    targetOffset,
                    targetStride,
                    targetStep);
            return;
        }
        checkBlocks(blocks, source.elements(), sourceOffset, sourceStride, sourceStep);
        checkBlocks(blocks, target.elements(), targetOffset, targetStride, targetStep);
        try {
            Calls.TRANSPOSE.invokeExact(
                    Avx512.TRANSPOSE.entry(),
                    source.segment(),
                    (long) sourceOffset,
                    (long) sourceStride * Float.BYTES,
                    target.segment(),
                    (long) targetOffset,
                    (long) targetStride * Float.BYTES,
                    (long) sourceStep * Float.BYTES,
                    (long) targetStep * Float.BYTES,
                    (long) blocks,
                    Avx512.TRANSPOSE.table());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    @Override
    public void copyRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        MemorySegment entry = copies.entry(columns, false);
        copyPieces(
                entry, rows, 1, columns, source, sourceOffset, sourceStride, 0, target, targetOffset, targetStride, 0);
    }

    /** Past the caches, which else would first read what is overwritten. */
    @Override
    public void writeRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        MemorySegment entry = copies.entry(columns, isAligned(target, targetOffset, targetStride));
        copyPieces(
                entry, rows, 1, columns, source, sourceOffset, sourceStride, 0, target, targetOffset, targetStride, 0);
    }

    @Override
    public void fetch(Ahead rows) {
        if (rows.rows() == 0) {
            return;
        }
        try {
            Calls.FETCH.invokeExact(
                    copies.fetch(), rows.segment(), rows.offset() / Float.BYTES, rows.stride(), (long) rows.rows());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    @Override
    public void copyPieces(
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
        copyPieces(
                copies.entry(columns, false),
                rows,
                pieces,
                columns,
                source,
                sourceOffset,
                sourceStride,
                sourceStep,
                target,
                targetOffset,
                targetStride,
                targetStep);
    }

    private static void copyPieces(
            MemorySegment entry,
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
        if (rows == 0 || pieces == 0) {
            return;
        }
        checkPieces(rows, pieces, columns, source, sourceOffset, sourceStride, sourceStep);
        checkPieces(rows, pieces, columns, target, targetOffset, targetStride, targetStep);
        checkWritable(target);
        try {
            Calls.COPY_PIECES.invokeExact(
                    entry,
                    source,
                    sourceOffset,
                    sourceStride * Float.BYTES,
                    target,
                    targetOffset,
                    targetStride * Float.BYTES,
                    (long) rows,
                    (long) pieces,
                    sourceStep * Float.BYTES,
                    targetStep * Float.BYTES);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    private static void checkPieces(
            int rows, int pieces, int columns, MemorySegment segment, long offset, long stride, long step) {
        long last = offset + (rows - 1L) * stride + (pieces - 1L) * step + columns;
        if ((rows | pieces) < 0 || (offset | stride | step) < 0 || last > segment.byteSize() / Float.BYTES) {
            throw new IndexOutOfBoundsException("%d rows of %d x %d at %d, stride %d, step %d of %d bytes"
                    .formatted(rows, pieces, columns, offset, stride, step, segment.byteSize()));
        }
    }

    @Override
    public boolean converts(Format from, Format to) {
        return conversions.has(from, to);
    }

    @Override
    public void convertRows(
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
        if (rows == 0) {
            return;
        }
        Rows.check(rows, columns, source, from, sourceOffset, sourceStride);
        Rows.check(rows, columns, target, to, targetOffset, targetStride);
        checkWritable(target);
        MemorySegment entry = conversions.entry(from, to, columns);
        copy(
                entry,
                rows,
                source,
                sourceOffset,
                sourceStride * from.bytes(),
                target,
                targetOffset,
                targetStride * to.bytes());
    }

    /** Offsets in elements, strides in bytes. */
    static void copy(
            MemorySegment entry,
            int rows,
            MemorySegment source,
            long sourceOffset,
            long sourceBytes,
            MemorySegment target,
            long targetOffset,
            long targetBytes) {
        try {
            Calls.COPY.invokeExact(
                    entry, source, sourceOffset, sourceBytes, target, targetOffset, targetBytes, (long) rows);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    private static void checkBlocks(int blocks, long size, int offset, int stride, int step) {
        long last = offset + (blocks - 1L) * step + (BLOCK - 1L) * stride + BLOCK;
        if ((blocks | offset | stride | step) < 0 || last > size) {
            throw new IndexOutOfBoundsException(
                    "%d blocks at %d, stride %d, step %d of %d elements".formatted(blocks, offset, stride, step, size));
        }
    }
}
