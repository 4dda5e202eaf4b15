package dev.dropless.cli.workload;

import java.util.SplittableRandom;

/** Seeded normal numbers. */
public final class Gaussian {

    private Gaussian() {}

    /**
     * Draws standard normal numbers.
     *
     * @param count how many
     * @param seed same seed, same numbers
     * @return a new array
     */
    public static float[] values(int count, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
