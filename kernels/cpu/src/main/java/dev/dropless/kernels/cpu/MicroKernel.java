package dev.dropless.kernels.cpu;

/** Generated code for two vectors of columns: see {@link MicroKernelGenerator}. */
interface MicroKernel {

    /** As {@link TileKernels#multiply}, for the two vectors of columns that begin at {@code bOffset} and {@code cOffset}; the stride is not used. */
    void multiply(
            int rows, int depth, float[] a, int aOffset, int aStride, float[] b, int bOffset, float[] c, int cOffset);

    /** As {@link TileKernels#multiplyColumns}, likewise. */
    void multiplyColumns(
            int rows, int depth, float[] a, int aOffset, int aStride, float[] b, int bOffset, float[] c, int cOffset);

    /** As {@link TileKernels#multiplyPanels}, likewise. */
    void multiplyPanels(
            int rows, int depth, float[] a, int aOffset, int aStride, float[] b, int bOffset, float[] c, int cOffset);
}
