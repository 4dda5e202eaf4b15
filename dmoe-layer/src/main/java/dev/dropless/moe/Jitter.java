package dev.dropless.moe;

/**
 * Multiplicative noise on the layer's input while training: every element is multiplied by its own draw from the uniform distribution on
 * [1 - epsilon, 1 + epsilon].
 *
 * @param epsilon half width of the interval, 0 up to 1; 0 is no noise
 * @param scope who sees the noise
 */
public record Jitter(double epsilon, Scope scope) {

    /** What of the layer sees the noisy input. */
    public enum Scope {
        /** The router only; experts compute with the clean input (MegaBlocks; Switch Transformers, arXiv 2101.03961, section 2.4). */
        ROUTER,
        /** Router and experts alike (Mixtral and PhiMoE in transformers). */
        LAYER
    }

    /** No noise. */
    public static final Jitter NONE = new Jitter(0, Scope.ROUTER);

    /**
     * Checks epsilon.
     *
     * @throws IllegalArgumentException if {@code epsilon} is outside [0, 1)
     */
    public Jitter {
        if (!(epsilon >= 0 && epsilon < 1)) {
            throw new IllegalArgumentException("inputJitter.epsilon: expected in [0, 1), found " + epsilon);
        }
    }
}
