package dev.dropless.moe.router;

import java.util.Map;
import java.util.SplittableRandom;

/**
 * Where a router gets its random numbers. A router asks once per purpose for a whole array, so draws are easy to record
 * and to replay, and a layer that recomputes its forward pass sees the same numbers again.
 */
@FunctionalInterface
public interface RouterNoise {

    /** What the numbers are for; each purpose has a fixed distribution and shape. */
    enum Draw {
        /** Standard normal, [T, E]: noise on the logits of noisy top-k gating. */
        LOGIT_GAUSSIAN,
        /** Uniform in [0, 1), [T]: whether a second choice is used (GShard). */
        SECOND_CHOICE_UNIFORM,
        /** Exponential with mean 1, [T, E]: sampling of the first expert (SparseMixer). */
        FIRST_EXPONENTIAL,
        /** Uniform in [0, 1), [T]: which estimator the first expert uses (SparseMixer). */
        FIRST_UNIFORM,
        /** Exponential with mean 1, [T, E]: sampling of the second expert (SparseMixer). */
        SECOND_EXPONENTIAL,
        /** Uniform in [0, 1), [T]: which estimator the second expert uses (SparseMixer). */
        SECOND_UNIFORM,
        /** Uniform in [0, 1), any shape: factors on the router's input. */
        INPUT_JITTER
    }

    /**
     * Returns the numbers for one purpose. The same arguments give the same numbers.
     *
     * @param draw purpose, which fixes the distribution
     * @param count how many
     * @return a new array of {@code count} numbers
     */
    double[] draw(Draw draw, int count);

    /**
     * No numbers.
     *
     * @return a source that throws {@code IllegalArgumentException} when asked
     */
    static RouterNoise none() {
        return (draw, count) -> {
            throw Arguments.mismatch("noise", "a source of numbers for " + draw, "none");
        };
    }

    /**
     * Numbers that are a pure function of seed, purpose and position. Use another seed for every layer and every step.
     *
     * @param seed any value
     * @return an immutable source
     */
    static RouterNoise seeded(long seed) {
        return (draw, count) -> {
            // name hashes are fixed by the language, and far from multiples of SplittableRandom's step, which would
            // only
            // shift the stream
            var random = new SplittableRandom(seed ^ draw.name().hashCode() * 0xD1342543DE82EF95L);
            var numbers = new double[count];
            for (int i = 0; i < count; i++) {
                numbers[i] = switch (draw) {
                    case LOGIT_GAUSSIAN -> random.nextGaussian();
                    case FIRST_EXPONENTIAL, SECOND_EXPONENTIAL -> random.nextExponential();
                    case SECOND_CHOICE_UNIFORM, FIRST_UNIFORM, SECOND_UNIFORM, INPUT_JITTER -> random.nextDouble();
                };
            }
            return numbers;
        };
    }

    /**
     * Numbers recorded earlier.
     *
     * @param recorded numbers by purpose; not copied
     * @return a source that throws {@code IllegalArgumentException} when asked for a purpose or a count that was not
     *     recorded
     */
    static RouterNoise replay(Map<Draw, double[]> recorded) {
        return (draw, count) -> {
            double[] numbers = recorded.get(draw);
            if (numbers == null) {
                throw Arguments.mismatch("recorded noise", draw, recorded.keySet());
            }
            Arguments.length("recorded noise " + draw, numbers.length, count, "asked for by the router");
            return numbers.clone();
        };
    }
}
