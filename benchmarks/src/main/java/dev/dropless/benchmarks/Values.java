package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;

/** Seeded numbers that cost little to make, so that no arm needs a copy of another one's weights: never zeros. */
public final class Values {

    private Values() {}

    /**
     * Draws numbers uniform in [-bound, bound): SplitMix64 as a hash of seed and index (Steele, Lea and Flood, OOPSLA
     * 2014).
     *
     * @param seed same seed, same numbers
     * @param count how many
     * @param bound largest magnitude
     * @return a new array
     */
    public static float[] uniform(long seed, int count, double bound) {
        float[] values = new float[count];
        float scale = (float) (bound * 0x1p-23);
        for (int i = 0; i < count; i++) {
            values[i] = ((hash(seed, i) >> 40) + 0.5f) * scale;
        }
        return values;
    }

    private static long hash(long seed, long index) {
        long z = seed * 0xD1342543DE82EF95L + (index + 1) * 0x9E3779B97F4A7C15L;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /**
     * Fills a matrix, rounding to its type.
     *
     * @param seed same seed, same numbers
     * @param bound largest magnitude
     * @param matrix overwritten
     * @return the matrix
     */
    public static Matrix fill(long seed, double bound, Matrix matrix) {
        for (long i = 0; i < matrix.rows(); i++) {
            int columns = (int) matrix.columns();
            matrix.sliceRows(i, 1).copyFrom(Matrix.of(uniform(seed + i * 7919, columns, bound), 1, columns));
        }
        return matrix;
    }
}
