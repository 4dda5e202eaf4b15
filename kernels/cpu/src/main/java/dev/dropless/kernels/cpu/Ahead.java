package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;

/** Rows of memory that will be read next, so that they may be fetched into the cache. */
final class Ahead {

    private MemorySegment segment = MemorySegment.NULL;
    private long offset;
    private long stride;
    private int rows;
    private int bytes;

    /** Rows of some elements of a matrix' memory. */
    void set(Matrix matrix, long index, long elementsApart, int count, int length) {
        int size = matrix.type().bytes();
        segment = matrix.segment();
        offset = index * size;
        stride = elementsApart * size;
        rows = count;
        bytes = length * size;
    }

    /** No rows. */
    void clear() {
        segment = MemorySegment.NULL;
        rows = 0;
    }

    MemorySegment segment() {
        return segment;
    }

    /** Of the first row, in bytes. */
    long offset() {
        return offset;
    }

    /** Bytes from one row to the next. */
    long stride() {
        return stride;
    }

    int rows() {
        return rows;
    }

    /** Of each row. */
    int bytes() {
        return bytes;
    }
}
