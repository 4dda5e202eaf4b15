package dev.dropless.moe;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.ScoreRouter;
import org.jspecify.annotations.Nullable;

/**
 * What a mixture-of-experts layer computes, every option explicit. With T tokens x [T, H], z the logits and c the combination's factors:
 * <pre>
 *   z       = x Wr^T + br                              [T, numExperts + identityExperts]
 *   ids, w  = router(z)                                [T, topK]
 *   u       = x fc1^T, or x without latent projection
 *   r[t]    = routedScale * sum over j of w[t,j] * expert_ids[t,j](u[t])      (OUTPUT)
 *             routedScale * sum over j of expert_ids[t,j](w[t,j] * u[t])      (INPUT)
 *   routed  = r fc2^T, or r without latent projection
 *   y       = c.routed * routed + c.shared * shared(x) + outputBias
 * </pre>
 * An id of {@code numExperts} or above is an identity expert, expert(u) = u. A slot with id -1 contributes nothing.
 *
 * @param hiddenSize H, 1 or more
 * @param experts sizes of the routed experts; their hidden size is {@code latentSize}, or H without latent projection
 * @param activation activation of the routed experts
 * @param router decides ids and weights; its topK is k
 * @param routerBias whether the logits have a bias br
 * @param selectionBias whether the router is given a bias per expert that acts on the selection alone and has no gradient (DeepSeek-V3)
 * @param noisyGating whether the router is given x Wn^T, the logits of the noise magnitude of noisy top-k gating (arXiv 1701.06538, equation 4), with Wn a parameter; needs
 *     a {@link ScoreRouter}
 * @param weightPlacement whether w multiplies an expert's output or its input
 * @param identityExperts number of identity experts beside the real ones (LongCat), 0 or more
 * @param latentSize size of the space the routed experts work in (Nemotron), or 0 where there is no latent projection
 * @param shared the shared expert, or null
 * @param combination how routed and shared part are added; SUM where there is no shared expert
 * @param outputBias whether a bias [H] is added to every token, once and unscaled
 * @param routedScale factor of the routed part; NLLB in evaluation has 1 - moe_token_dropout
 * @param inputJitter noise on the input while training
 */
public record MoeConfig(
        int hiddenSize,
        ExpertShape experts,
        Activation activation,
        Router router,
        boolean routerBias,
        boolean selectionBias,
        boolean noisyGating,
        WeightPlacement weightPlacement,
        int identityExperts,
        int latentSize,
        @Nullable SharedExpert shared,
        Combination combination,
        boolean outputBias,
        double routedScale,
        Jitter inputJitter) {

    /**
     * Checks that the options fit each other.
     *
     * @throws IllegalArgumentException if a size is out of range or two options contradict each other
     */
    public MoeConfig {
        atLeast("hiddenSize", hiddenSize, 1);
        atLeast("identityExperts", identityExperts, 0);
        atLeast("latentSize", latentSize, 0);
        int expected = latentSize > 0 ? latentSize : hiddenSize;
        if (experts.hiddenSize() != expected) {
            throw new IllegalArgumentException("experts.hiddenSize: expected %s = %d, found %d"
                    .formatted(latentSize > 0 ? "latentSize" : "hiddenSize", expected, experts.hiddenSize()));
        }
        long choices = (long) experts.numExperts() + identityExperts;
        if (choices > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "identityExperts: expected numExperts + identityExperts below 2^31, found " + choices);
        }
        if (router.topK() > choices) {
            throw new IllegalArgumentException("router.topK: expected at most the %d experts there are, found %d"
                    .formatted(choices, router.topK()));
        }
        if (noisyGating && !(router instanceof ScoreRouter)) {
            throw new IllegalArgumentException("router: expected a ScoreRouter for noisyGating, found "
                    + router.getClass().getSimpleName());
        }
        if (shared != null && shared.shape().hiddenSize() != hiddenSize) {
            throw new IllegalArgumentException("shared.shape.hiddenSize: expected hiddenSize = %d, found %d"
                    .formatted(hiddenSize, shared.shape().hiddenSize()));
        }
        if (shared == null && combination != Combination.SUM) {
            throw new IllegalArgumentException(
                    "combination: expected SUM without a shared expert, found " + combination);
        }
        if (Double.isNaN(routedScale) || Double.isInfinite(routedScale)) {
            throw new IllegalArgumentException("routedScale: expected a number, found " + routedScale);
        }
    }

    private static void atLeast(String argument, int value, int minimum) {
        if (value < minimum) {
            throw new IllegalArgumentException(
                    "%s: expected at least %d, found %d".formatted(argument, minimum, value));
        }
    }

    /**
     * Starts a configuration: gated experts with SiLU and no biases, weights on the output, nothing else.
     *
     * @param hiddenSize H
     * @param ffnHiddenSize F
     * @param numExperts E
     * @param router decides ids and weights
     * @return a builder
     */
    public static Builder builder(int hiddenSize, int ffnHiddenSize, int numExperts, Router router) {
        return new Builder(hiddenSize, ffnHiddenSize, numExperts, router);
    }

    /**
     * Returns the number of routed experts that have weights.
     *
     * @return E
     */
    public int numExperts() {
        return experts.numExperts();
    }

    /**
     * Returns the number of experts the router chooses from.
     *
     * @return numExperts + identityExperts: the columns of the logits
     */
    public int routedChoices() {
        return experts.numExperts() + identityExperts;
    }

    /**
     * Returns the number of slots of each token.
     *
     * @return k
     */
    public int topK() {
        return router.topK();
    }

    /**
     * Tells whether the routed experts work on a latent projection of the input.
     *
     * @return true where {@code latentSize} is above 0
     */
    public boolean hasLatent() {
        return latentSize > 0;
    }

    /** Whether a group of parameters exists. */
    boolean has(Trainable group) {
        return switch (group) {
            case ROUTER, EXPERTS_UP, EXPERTS_DOWN -> true;
            case SHARED -> shared != null;
            case LATENT -> hasLatent();
            case OUTPUT_BIAS -> outputBias;
            case INPUT -> false;
        };
    }

    /** The factor of every routed contribution: scale and combination together. */
    double routedFactor() {
        return routedScale * combination.routedFactor(topK());
    }

    /** The factor of the shared expert's contribution. */
    double sharedFactor() {
        return combination.sharedFactor(topK());
    }

    /** Collects options; what is not set keeps the default that {@link MoeConfig#builder} names. */
    public static final class Builder {
        private final int hiddenSize;
        private final int ffnHiddenSize;
        private final int numExperts;
        private final Router router;
        private boolean gated = true;
        private boolean expertInputBias;
        private boolean expertOutputBias;
        private Activation activation = Activation.of(Activation.Function.SILU);
        private boolean routerBias;
        private boolean selectionBias;
        private boolean noisyGating;
        private WeightPlacement weightPlacement = WeightPlacement.OUTPUT;
        private int identityExperts;
        private int latentSize;
        private @Nullable SharedExpert shared;
        private Combination combination = Combination.SUM;
        private boolean outputBias;
        private double routedScale = 1;
        private Jitter inputJitter = Jitter.NONE;

        private Builder(int hiddenSize, int ffnHiddenSize, int numExperts, Router router) {
            this.hiddenSize = hiddenSize;
            this.ffnHiddenSize = ffnHiddenSize;
            this.numExperts = numExperts;
            this.router = router;
        }

        /**
         * Sets whether the routed experts are gated (GLU).
         *
         * @param value true for gate and up, false for one projection
         * @return this
         */
        public Builder gated(boolean value) {
            gated = value;
            return this;
        }

        /**
         * Sets which projections of the routed experts have a bias.
         *
         * @param input gate and up
         * @param output down
         * @return this
         */
        public Builder expertBiases(boolean input, boolean output) {
            expertInputBias = input;
            expertOutputBias = output;
            return this;
        }

        /**
         * Sets the activation of the routed experts.
         *
         * @param value activation
         * @return this
         */
        public Builder activation(Activation value) {
            activation = value;
            return this;
        }

        /**
         * Sets whether the logits have a bias.
         *
         * @param value true for a bias
         * @return this
         */
        public Builder routerBias(boolean value) {
            routerBias = value;
            return this;
        }

        /**
         * Sets whether the router is given a selection bias.
         *
         * @param value true for a bias
         * @return this
         */
        public Builder selectionBias(boolean value) {
            selectionBias = value;
            return this;
        }

        /**
         * Sets whether the router is given logits of a noise magnitude.
         *
         * @param value true for noisy top-k gating
         * @return this
         */
        public Builder noisyGating(boolean value) {
            noisyGating = value;
            return this;
        }

        /**
         * Sets where the routing weight enters.
         *
         * @param value output or input
         * @return this
         */
        public Builder weightPlacement(WeightPlacement value) {
            weightPlacement = value;
            return this;
        }

        /**
         * Sets the number of identity experts.
         *
         * @param value 0 or more
         * @return this
         */
        public Builder identityExperts(int value) {
            identityExperts = value;
            return this;
        }

        /**
         * Sets the size of the latent projection.
         *
         * @param value size, or 0 for none
         * @return this
         */
        public Builder latentSize(int value) {
            latentSize = value;
            return this;
        }

        /**
         * Sets the shared expert and how it is added.
         *
         * @param value the shared expert
         * @param how how the two parts are added
         * @return this
         */
        public Builder shared(SharedExpert value, Combination how) {
            shared = value;
            combination = how;
            return this;
        }

        /**
         * Sets whether the output has a bias.
         *
         * @param value true for a bias
         * @return this
         */
        public Builder outputBias(boolean value) {
            outputBias = value;
            return this;
        }

        /**
         * Sets the factor of the routed part.
         *
         * @param value factor
         * @return this
         */
        public Builder routedScale(double value) {
            routedScale = value;
            return this;
        }

        /**
         * Sets the noise on the input while training.
         *
         * @param value noise
         * @return this
         */
        public Builder inputJitter(Jitter value) {
            inputJitter = value;
            return this;
        }

        /**
         * Checks the options and makes the configuration.
         *
         * @return the configuration
         * @throws IllegalArgumentException as {@link MoeConfig}
         */
        public MoeConfig build() {
            int width = latentSize > 0 ? latentSize : hiddenSize;
            ExpertShape experts =
                    new ExpertShape(numExperts, width, ffnHiddenSize, gated, expertInputBias, expertOutputBias);
            return new MoeConfig(
                    hiddenSize,
                    experts,
                    activation,
                    router,
                    routerBias,
                    selectionBias,
                    noisyGating,
                    weightPlacement,
                    identityExperts,
                    latentSize,
                    shared,
                    combination,
                    outputBias,
                    routedScale,
                    inputJitter);
        }
    }
}
