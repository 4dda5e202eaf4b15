package dev.dropless.kernels.cpu;

/**
 * Generated code for two vectors of columns: see {@link MicroKernelGenerator}. With every term a vector of the operand that lies in memory is
 * fetched into the cache, the first one from {@code aheadOffset} on, the next one {@code aheadStep} elements later; all of them must lie in the array, and nothing is written.
 */
interface MicroKernel {

    /**
     * As {@link TileKernels#multiply}, for the two vectors of columns that begin at {@code bOffset} and {@code cOffset}; b is fetched and the stride not used.
     */
    void multiply(
            int rows,
            int depth,
            float[] a,
            int aOffset,
            int aStride,
            float[] b,
            int bOffset,
            float[] c,
            int cOffset,
            int aheadOffset,
            int aheadStep);

    /** As {@link TileKernels#multiplyColumns}, likewise; neither the stride nor what is ahead is used. */
    void multiplyColumns(
            int rows,
            int depth,
            float[] a,
            int aOffset,
            int aStride,
            float[] b,
            int bOffset,
            float[] c,
            int cOffset,
            int aheadOffset,
            int aheadStep);

    /** As {@link TileKernels#multiplyPanels}, likewise; a is fetched, in every panel of it the part that lies {@code aStride} elements after the one before. */
    void multiplyPanels(
            int rows,
            int depth,
            float[] a,
            int aOffset,
            int aStride,
            float[] b,
            int bOffset,
            float[] c,
            int cOffset,
            int aheadOffset,
            int aheadStep);
}
