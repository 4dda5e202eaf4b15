package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;

/** Pieces of matrix rows, converted to and from float. Narrowing rounds to nearest even, once. */
final class Rows {

    private Rows() {}

    /** Refuses rows that do not lie in a segment; offset and stride are in elements. */
    static void check(int rows, int columns, MemorySegment segment, Format format, long offset, long stride) {
        long last = offset + (rows - 1L) * stride + columns;
        if (rows < 0 || (offset | stride) < 0 || last > segment.byteSize() / format.bytes()) {
            throw new IndexOutOfBoundsException("%d rows of %d at %d, stride %d of %d bytes"
                    .formatted(rows, columns, offset, stride, segment.byteSize()));
        }
    }

    /** Reads n elements of a row from a column on. */
    static void read(Matrix matrix, long row, long column, int n, float[] target, int offset) {
        read(matrix.segment(), matrix.type(), matrix.index(row, column), n, target, offset);
    }

    static void read(MemorySegment segment, ElementType type, long index, int n, float[] target, int offset) {
        long start = index * type.bytes();
        switch (type) {
            case F32 -> MemorySegment.copy(segment, ElementType.FLOAT, start, target, offset, n);
            case BF16 -> {
                for (int i = 0; i < n; i++) {
                    target[offset + i] = ElementType.bf16ToFloat(segment.get(ElementType.SHORT, start + 2L * i));
                }
            }
            case F16 -> {
                for (int i = 0; i < n; i++) {
                    target[offset + i] = Float.float16ToFloat(segment.get(ElementType.SHORT, start + 2L * i));
                }
            }
            case F64 -> {
                for (int i = 0; i < n; i++) {
                    target[offset + i] = (float) segment.get(ElementType.DOUBLE, start + 8L * i);
                }
            }
        }
    }

    /** As {@link #read(Matrix, long, long, int, float[], int)}, by the kernels' own conversion as far as there is one; to floats in an array. */
    static void read(TileKernels kernels, Matrix matrix, long row, long column, int n, Storage target, int offset) {
        read(kernels, matrix, matrix.index(row, column), n, target, offset);
    }

    /** The same from an element of the matrix' memory on. */
    static void read(TileKernels kernels, Matrix matrix, long index, int n, Storage target, int offset) {
        int done = 0;
        if (narrow(matrix.type()) && kernels.converts(Format.of(matrix.type()), Format.F32)) {
            int blocks = n / TileKernels.BLOCK;
            kernels.convertRows(
                    blocks,
                    TileKernels.BLOCK,
                    Format.of(matrix.type()),
                    matrix.segment(),
                    index,
                    TileKernels.BLOCK,
                    Format.F32,
                    target.segment(),
                    offset,
                    TileKernels.BLOCK);
            done = blocks * TileKernels.BLOCK;
        }
        int to = target.base() + offset + done;
        read(matrix.segment(), matrix.type(), index + done, n - done, target.array(), to);
    }

    /** As {@link #write(float[], int, int, Matrix, long, long)}, by the kernels' own conversion as far as there is one; from floats in an array. */
    static void write(TileKernels kernels, Storage source, int offset, int n, Matrix matrix, long row, long column) {
        long index = matrix.index(row, column);
        int done = 0;
        if (narrow(matrix.type()) && kernels.converts(Format.F32, Format.of(matrix.type()))) {
            int blocks = n / TileKernels.BLOCK;
            kernels.convertRows(
                    blocks,
                    TileKernels.BLOCK,
                    Format.F32,
                    source.segment(),
                    offset,
                    TileKernels.BLOCK,
                    Format.of(matrix.type()),
                    matrix.segment(),
                    index,
                    TileKernels.BLOCK);
            done = blocks * TileKernels.BLOCK;
        }
        int from = source.base() + offset + done;
        write(source.array(), from, n - done, matrix.segment(), matrix.type(), index + done);
    }

    /** Converts a run of numbers one by one. */
    static void convert(
            Format from,
            MemorySegment source,
            long sourceIndex,
            Format to,
            MemorySegment target,
            long targetIndex,
            int n) {
        float[] numbers = new float[n];
        read(source, from.type(), sourceIndex, n, numbers, 0);
        write(numbers, 0, n, target, to.type(), targetIndex);
    }

    /** Whether {@link #copy} is there for matrices of a type. */
    static boolean converts(TileKernels kernels, ElementType type) {
        return type == ElementType.F32 || (narrow(type) && kernels.converts(Format.of(type), Format.F32));
    }

    /** Copies short rows of a matrix, BLOCK or PANEL columns from an index on, to floats. */
    static void copy(
            TileKernels kernels,
            int rows,
            int columns,
            Matrix matrix,
            long index,
            long stride,
            MemorySegment target,
            long offset,
            long targetStride) {
        if (matrix.type() == ElementType.F32) {
            kernels.copyRows(rows, columns, matrix.segment(), index, stride, target, offset, targetStride);
        } else {
            Format format = Format.of(matrix.type());
            kernels.convertRows(
                    rows, columns, format, matrix.segment(), index, stride, Format.F32, target, offset, targetStride);
        }
    }

    /** As {@link TileKernels#copyPieces}, from the memory of a matrix that {@link #converts}. */
    static void copyPieces(
            TileKernels kernels,
            int rows,
            int pieces,
            int columns,
            Matrix matrix,
            long index,
            long stride,
            long step,
            MemorySegment target,
            long offset,
            long targetStride,
            long targetStep) {
        if (matrix.type() == ElementType.F32) {
            MemorySegment source = matrix.segment();
            kernels.copyPieces(
                    rows, pieces, columns, source, index, stride, step, target, offset, targetStride, targetStep);
            return;
        }
        for (int row = 0; row < rows; row++) {
            long from = index + row * stride;
            copy(kernels, pieces, columns, matrix, from, step, target, offset + row * targetStride, targetStep);
        }
    }

    private static boolean narrow(ElementType type) {
        return type == ElementType.BF16 || type == ElementType.F16;
    }

    /** Writes n elements of a row from a column on. */
    static void write(float[] source, int offset, int n, Matrix matrix, long row, long column) {
        write(source, offset, n, matrix.segment(), matrix.type(), matrix.index(row, column));
    }

    static void write(float[] source, int offset, int n, MemorySegment segment, ElementType type, long index) {
        long start = index * type.bytes();
        switch (type) {
            case F32 -> MemorySegment.copy(source, offset, segment, ElementType.FLOAT, start, n);
            case BF16 -> {
                for (int i = 0; i < n; i++) {
                    segment.set(ElementType.SHORT, start + 2L * i, ElementType.floatToBf16(source[offset + i]));
                }
            }
            case F16 -> {
                for (int i = 0; i < n; i++) {
                    segment.set(ElementType.SHORT, start + 2L * i, Float.floatToFloat16(source[offset + i]));
                }
            }
            case F64 -> {
                for (int i = 0; i < n; i++) {
                    segment.set(ElementType.DOUBLE, start + 8L * i, source[offset + i]);
                }
            }
        }
    }
}
