package dev.dropless.kernels.tornado.engine;

import java.lang.foreign.MemorySegment;

/**
 * A device that runs {@link Kernel}s over three arrays of its own: all floats of a back end lie in one, all ints in
 * another, all bits of 16-bit floats in the third. Kernels bind arrays when they are compiled, so one array for all matrices means that every kernel is compiled
 * once, whatever is computed with it; sizes and places are arguments, in an array as well.
 *
 * <p>Everything happens in the order in which it was asked for. Not safe for several threads.
 */
public interface Engine extends AutoCloseable {

    /** Ints that an invocation can take. */
    int WORDS = 32;

    /** Floats that an invocation can take. */
    int CONSTANTS = 8;

    /**
     * Names the device.
     *
     * @return one line
     */
    String describe();

    /**
     * Tells whether products are faster with tiles in local memory than with one thread for each element.
     *
     * @return true for devices whose local memory is faster than their global memory
     */
    boolean prefersTiles();

    /**
     * Tells whether kernels may compute in double precision.
     *
     * @return true for devices that have it
     */
    boolean hasDoubles();

    /**
     * Tells whether kernels that use tensor cores can be compiled for this device.
     *
     * @return true for devices of TornadoVM's CUDA back end
     */
    boolean hasTensorCores();

    /**
     * Makes the arrays at least this long. Their content stays.
     *
     * @param floats elements of the array of floats
     * @param ints elements of the array of ints
     * @param halves elements of the array of 16-bit floats
     */
    void reserve(int floats, int ints, int halves);

    /**
     * Returns how many elements {@link #floatStaging}, {@link #intStaging} and {@link #halfStaging} can take at a time.
     *
     * @return 1 or more
     */
    int stagingLength();

    /**
     * Returns host memory for floats on their way to the device, valid until the next call.
     *
     * @param count elements, at most {@link #stagingLength}
     * @return native memory of that many floats
     */
    MemorySegment floatStaging(int count);

    /**
     * Copies staged floats into a matrix whose elements are counted row by row: staged element n becomes element
     * {@code start + n}.
     *
     * @param count elements
     * @param start number of the first
     * @param columns columns of the matrix
     * @param base where the matrix begins
     * @param rowStride from one row to the next
     */
    void scatter(int count, int start, int columns, int base, int rowStride);

    /**
     * Returns host memory for ints on their way to the device, valid until the next call.
     *
     * @param count elements, at most {@link #stagingLength}
     * @return native memory of that many ints
     */
    MemorySegment intStaging(int count);

    /**
     * Copies staged ints.
     *
     * @param count elements
     * @param base where they go in the array of ints
     */
    void scatterInts(int count, int base);

    /**
     * Returns host memory for 16-bit floats on their way to the device, valid until the next call.
     *
     * @param count elements, at most {@link #stagingLength}
     * @return native memory of that many shorts
     */
    MemorySegment halfStaging(int count);

    /**
     * Copies staged 16-bit floats into a matrix, as {@link #scatter} does.
     *
     * @param count elements
     * @param start number of the first
     * @param columns columns of the matrix
     * @param base where the matrix begins
     * @param rowStride from one row to the next
     */
    void scatterHalves(int count, int start, int columns, int base, int rowStride);

    /**
     * Copies floats of the device to the host.
     *
     * @param first first element
     * @param count number of elements
     * @return a view of the host's copy, valid until the next call
     */
    MemorySegment read(int first, int count);

    /**
     * Copies ints of the device to the host.
     *
     * @param first first element
     * @param count number of elements
     * @return a view of the host's copy, valid until the next call
     */
    MemorySegment readInts(int first, int count);

    /**
     * Copies 16-bit floats of the device to the host.
     *
     * @param first first element
     * @param count number of elements
     * @return a view of the host's copy, valid until the next call
     */
    MemorySegment readHalves(int first, int count);

    /**
     * Runs a kernel.
     *
     * @param kernel which
     * @param words its arguments, at most {@link #WORDS}
     * @param constants further arguments, at most {@link #CONSTANTS}
     * @param columns threads that differ in the fastest dimension, or tiles of columns for a tiled kernel; 1 or more
     * @param rows threads in the other dimension, or tiles of rows; 1 or more
     */
    void launch(Kernel kernel, int[] words, float[] constants, int columns, int rows);

    /** Frees the device's memory. A second call does nothing. */
    @Override
    void close();
}
