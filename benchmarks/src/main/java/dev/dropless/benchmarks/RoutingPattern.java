package dev.dropless.benchmarks;

import java.util.Arrays;
import java.util.Locale;
import java.util.SplittableRandom;

/** Synthetic assignments: which k different experts each token goes to. */
public enum RoutingPattern {
    /** Every set of k experts is equally likely. */
    UNIFORM,
    /** Expert e is drawn with a probability that goes as 1 / (e + 1) (Zipf, exponent 1). */
    ZIPF,
    /** Every token goes to experts 0 to k - 1. */
    ONE_HOT,
    /** The last quarter of the experts gets nothing as long as the others suffice; those are equally likely. */
    HOLES;

    /**
     * Returns the name in options and reports.
     *
     * @return lower case, with hyphens
     */
    public String word() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /**
     * Finds a pattern.
     *
     * @param word as {@link #word}
     * @return the pattern
     * @throws IllegalArgumentException if there is none
     */
    public static RoutingPattern of(String word) {
        return Arrays.stream(values())
                .filter(pattern -> pattern.word().equals(word))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "routing: expected uniform, zipf, one-hot or holes, found \"" + word + "\""));
    }

    /**
     * Draws assignments: the k experts with the largest log p + Gumbel noise, which is sampling without replacement
     * (Gumbel top-k, arXiv 1903.06059).
     *
     * @param tokens T
     * @param numExperts E
     * @param topK k, at most E
     * @param seed same seed, same assignments
     * @return expert ids [T, k]
     */
    public int[] assign(int tokens, int numExperts, int topK, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int usable = this == HOLES ? Math.max(topK, numExperts - numExperts / 4) : numExperts;
        int[] ids = new int[Math.multiplyExact(tokens, topK)];
        double[] keys = new double[usable];
        for (int t = 0; t < tokens; t++) {
            for (int e = 0; e < usable; e++) {
                double logit = switch (this) {
                    case UNIFORM, HOLES -> 0;
                    case ZIPF -> -Math.log(e + 1.0);
                    case ONE_HOT -> -1e6 * e;
                };
                keys[e] = logit - Math.log(-Math.log(random.nextDouble(Double.MIN_NORMAL, 1)));
            }
            for (int rank = 0; rank < topK; rank++) {
                int best = 0;
                for (int e = 1; e < usable; e++) {
                    best = keys[e] > keys[best] ? e : best;
                }
                ids[t * topK + rank] = best;
                keys[best] = Double.NEGATIVE_INFINITY;
            }
        }
        return ids;
    }
}
