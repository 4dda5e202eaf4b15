package dev.dropless.kernels.cpu;

import java.util.Arrays;
import java.util.Random;

/** Seeded operands of tests. */
final class RandomNumbers {

    /** What stands beside the elements of {@link #guarded} and must not change. */
    static final float GUARD = 12345;

    /** Elements before and behind. */
    private static final int GUARDS = 8;

    private final Random random;

    RandomNumbers(long seed) {
        random = new Random(seed);
    }

    float[] normal(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** Element i is at i + 8. */
    float[] guarded(int n) {
        float[] values = normal(n + 2 * GUARDS);
        Arrays.fill(values, 0, GUARDS, GUARD);
        Arrays.fill(values, n + GUARDS, values.length, GUARD);
        return values;
    }
}
