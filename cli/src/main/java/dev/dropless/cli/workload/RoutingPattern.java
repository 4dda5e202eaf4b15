package dev.dropless.cli.workload;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Synthetic assignments of tokens to experts. */
public enum RoutingPattern {
    /** Every set of k experts is equally likely. */
    UNIFORM,
    /** Expert e is drawn with a probability that goes as 1 / (e + 1). */
    ZIPF,
    /** Every token goes to experts 0 to k - 1. */
    ONE_HOT,
    /** Every fourth expert gets nothing; the others are equally likely. Where they are fewer than k, those fill up. */
    HOLES;

    /**
     * Draws assignments.
     *
     * @param tokens T, 0 or more
     * @param numExperts E, 1 or more
     * @param topK k, 1 to E
     * @param seed same seed, same assignments
     * @return expert ids [T, k], different within a token
     * @throws IllegalArgumentException if a size is out of range
     */
    public int[] assign(int tokens, int numExperts, int topK, long seed) {
        atLeast("tokens", tokens, 0);
        atLeast("experts", numExperts, 1);
        atLeast("topk", topK, 1);
        if (topK > numExperts) {
            throw new IllegalArgumentException(
                    "topk: expected at most the %d experts, found %d".formatted(numExperts, topK));
        }
        if ((long) tokens * topK > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "tokens: expected tokens x topk below 2^31, found %d x %d".formatted(tokens, topK));
        }
        SplittableRandom random = new SplittableRandom(seed);
        int[] ids = new int[tokens * topK];
        double[] weights = new double[numExperts];
        for (int token = 0; token < tokens; token++) {
            fill(weights);
            for (int rank = 0; rank < topK; rank++) {
                int expert = this == ONE_HOT ? rank : draw(weights, random);
                ids[token * topK + rank] = expert;
                weights[expert] = 0;
            }
        }
        return ids;
    }

    private static void atLeast(String option, int value, int minimum) {
        if (value < minimum) {
            throw new IllegalArgumentException("%s: expected at least %d, found %d".formatted(option, minimum, value));
        }
    }

    private void fill(double[] weights) {
        switch (this) {
            case UNIFORM, ONE_HOT -> Arrays.fill(weights, 1);
            case ZIPF -> Arrays.setAll(weights, e -> 1.0 / (e + 1));
            // Small enough never to be drawn while another expert is left, whatever their number.
            case HOLES -> Arrays.setAll(weights, e -> e % 4 == 3 ? 1e-300 : 1);
        }
    }

    private static int draw(double[] weights, SplittableRandom random) {
        double left = random.nextDouble() * Arrays.stream(weights).sum();
        int last = -1;
        for (int e = 0; e < weights.length; e++) {
            if (weights[e] > 0) {
                last = e;
                left -= weights[e];
                if (left < 0) {
                    return e;
                }
            }
        }
        return last;
    }
}
