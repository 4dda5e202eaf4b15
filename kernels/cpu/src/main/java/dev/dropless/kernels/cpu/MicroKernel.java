package dev.dropless.kernels.cpu;

/**
 * Generated code for two vectors of columns: see {@link MicroKernelGenerator}. What the methods return means nothing: it is there so that the compiler keeps
 * reads whose only purpose is to bring memory into the cache.
 */
interface MicroKernel {

    /** Elements from one read ahead to the next, with every term. */
    int AHEAD_STEP = 4;

    /**
     * As {@link TileKernels#multiply}, for the two vectors of columns that begin at {@code bOffset} and {@code cOffset}; of b, {@code depth * AHEAD_STEP}
     * elements from {@code ahead} on are read in passing.
     */
    float multiply(
            int rows, int depth, float[] a, int aOffset, int ahead, float[] b, int bOffset, float[] c, int cOffset);

    /** As {@link TileKernels#multiplyColumns}, likewise; the stride is not used. */
    float multiplyColumns(
            int rows, int depth, float[] a, int aOffset, int aStride, float[] b, int bOffset, float[] c, int cOffset);

    /** As {@link TileKernels#multiplyPanels}, likewise. */
    float multiplyPanels(
            int rows, int depth, float[] a, int aOffset, int aStride, float[] b, int bOffset, float[] c, int cOffset);
}
