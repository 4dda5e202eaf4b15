package dev.dropless.kernels.cpu;

/** Generated code for two vectors of columns: see {@link MicroKernelGenerator}. */
interface MicroKernel {

    /** As {@link TileKernels#multiply}, for the two vectors of columns that begin at {@code bOffset} and {@code cOffset}. */
    void multiply(int rows, int depth, float[] a, int aOffset, float[] b, int bOffset, float[] c, int cOffset);
}
