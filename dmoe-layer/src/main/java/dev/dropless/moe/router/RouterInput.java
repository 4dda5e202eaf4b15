package dev.dropless.moe.router;

import org.jspecify.annotations.Nullable;

/**
 * What a router decides on. Token = b * sequence + s. Arrays are shared, not copied: neither the caller nor a router
 * may change them while the input or a {@link Routing} made from it is in use.
 *
 * <p>A NaN logit is allowed and stays with its token: it ranks below every number (ties to the lower id), and that
 * token's weights become NaN where arithmetic says so. Minus infinity excludes an expert's score, not its selection.
 */
public final class RouterInput {

    private final double[] logits;
    private final int batch;
    private final int sequence;
    private final int numExperts;
    private final double @Nullable [] selectionBias;
    private final int @Nullable [] tokenIds;
    private final double @Nullable [] noiseLogits;
    private final boolean training;
    private final RouterNoise noise;

    private RouterInput(Builder builder) {
        logits = builder.logits;
        batch = builder.batch;
        sequence = builder.sequence;
        numExperts = builder.numExperts;
        selectionBias = builder.selectionBias;
        tokenIds = builder.tokenIds;
        noiseLogits = builder.noiseLogits;
        training = builder.training;
        noise = builder.noise;
    }

    /**
     * An evaluation-mode input of one sequence with nothing but logits.
     *
     * @param logits [T, E], row-major
     * @param tokens T, 0 or more
     * @param numExperts E, 1 or more
     * @return the input
     * @throws IllegalArgumentException if sizes are negative or do not match the logits
     */
    public static RouterInput of(double[] logits, int tokens, int numExperts) {
        return builder(logits, tokens, numExperts).build();
    }

    /**
     * Starts an input of one sequence.
     *
     * @param logits [T, E], row-major
     * @param tokens T, 0 or more
     * @param numExperts E, 1 or more
     * @return a builder
     * @throws IllegalArgumentException if sizes are negative or do not match the logits
     */
    public static Builder builder(double[] logits, int tokens, int numExperts) {
        return new Builder(logits, tokens, numExperts);
    }

    /**
     * Router logits.
     *
     * @return [T, E], row-major, not a copy
     */
    public double[] logits() {
        return logits;
    }

    /**
     * Number of tokens.
     *
     * @return T = batch * sequence
     */
    public int tokens() {
        return batch * sequence;
    }

    /**
     * Number of experts.
     *
     * @return E, 1 or more
     */
    public int numExperts() {
        return numExperts;
    }

    /**
     * Number of sequences.
     *
     * @return B
     */
    public int batch() {
        return batch;
    }

    /**
     * Tokens of one sequence.
     *
     * @return S
     */
    public int sequence() {
        return sequence;
    }

    /**
     * What is added to scores for selection only.
     *
     * @return [E], not a copy, or null
     */
    public double @Nullable [] selectionBias() {
        return selectionBias;
    }

    /**
     * Vocabulary ids of the tokens, for hash routing.
     *
     * @return [T], not a copy, or null
     */
    public int @Nullable [] tokenIds() {
        return tokenIds;
    }

    /**
     * Logits of the noise magnitude of noisy top-k gating (x W_noise).
     *
     * @return [T, E], not a copy, or null
     */
    public double @Nullable [] noiseLogits() {
        return noiseLogits;
    }

    /**
     * Whether training-only rules (noise, jitter, random second experts) apply.
     *
     * @return true in training
     */
    public boolean training() {
        return training;
    }

    /**
     * Source of random numbers.
     *
     * @return the source given, or {@link RouterNoise#none}
     */
    public RouterNoise noise() {
        return noise;
    }

    /** Collects the optional parts of an input. */
    public static final class Builder {

        private final double[] logits;
        private final int tokens;
        private final int numExperts;
        private int batch;
        private int sequence;
        private double @Nullable [] selectionBias;
        private int @Nullable [] tokenIds;
        private double @Nullable [] noiseLogits;
        private boolean training;
        private RouterNoise noise = RouterNoise.none();

        private Builder(double[] logits, int tokens, int numExperts) {
            Arguments.atLeast("tokens", tokens, 0);
            Arguments.atLeast("numExperts", numExperts, 1);
            Arguments.length("logits", logits.length, (long) tokens * numExperts, "tokens x numExperts");
            this.logits = logits;
            this.tokens = tokens;
            this.numExperts = numExperts;
            this.batch = 1;
            this.sequence = tokens;
        }

        /**
         * Says how the tokens form sequences; without this call all tokens are one sequence.
         *
         * @param batchSize B, 0 or more
         * @param sequenceLength S, 0 or more
         * @return this
         * @throws IllegalArgumentException if B * S is not T
         */
        public Builder shape(int batchSize, int sequenceLength) {
            Arguments.atLeast("batch", batchSize, 0);
            Arguments.atLeast("sequence", sequenceLength, 0);
            if ((long) batchSize * sequenceLength != tokens) {
                throw Arguments.mismatch("batch x sequence", tokens + " tokens", batchSize + " x " + sequenceLength);
            }
            this.batch = batchSize;
            this.sequence = sequenceLength;
            return this;
        }

        /**
         * Sets what is added to the scores for selection only.
         *
         * @param bias [E]
         * @return this
         * @throws IllegalArgumentException if the length is not E
         */
        public Builder selectionBias(double[] bias) {
            Arguments.length("selectionBias", bias.length, numExperts, "numExperts");
            this.selectionBias = bias;
            return this;
        }

        /**
         * Sets the vocabulary ids.
         *
         * @param ids [T]
         * @return this
         * @throws IllegalArgumentException if the length is not T
         */
        public Builder tokenIds(int[] ids) {
            Arguments.length("tokenIds", ids.length, tokens, "tokens");
            this.tokenIds = ids;
            return this;
        }

        /**
         * Sets the logits of the noise magnitude.
         *
         * @param values [T, E]
         * @return this
         * @throws IllegalArgumentException if the length is not T * E
         */
        public Builder noiseLogits(double[] values) {
            Arguments.length("noiseLogits", values.length, logits.length, "tokens x numExperts");
            this.noiseLogits = values;
            return this;
        }

        /**
         * Turns training-only rules on.
         *
         * @param on true in training
         * @return this
         */
        public Builder training(boolean on) {
            this.training = on;
            return this;
        }

        /**
         * Sets the source of random numbers; without this call a router that draws one refuses the input.
         *
         * @param source the source
         * @return this
         */
        public Builder noise(RouterNoise source) {
            this.noise = source;
            return this;
        }

        /**
         * Makes the input.
         *
         * @return the input
         */
        public RouterInput build() {
            return new RouterInput(this);
        }
    }
}
