package dev.dropless.moe.router;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The router made of options: gating, selection, random second expert, capacity and weight rule, in this order.
 * Immutable and safe for use by several threads; equal inputs give equal routings.
 */
public final class ScoreRouter implements Router {

    private final int topK;
    private final Gating gating;
    private final Selection selection;
    private final boolean randomSecondExpert;
    private final @Nullable CapacityRule capacity;
    private final WeightRule weightRule;
    private final boolean frozen;

    private ScoreRouter(Builder builder) {
        topK = builder.topK;
        gating = builder.gating;
        selection = builder.selection;
        randomSecondExpert = builder.randomSecondExpert;
        capacity = builder.capacity;
        weightRule = builder.weightRule;
        frozen = builder.frozen;
    }

    /**
     * Starts a router: softmax scores, the k best, weights as they are, nothing dropped.
     *
     * @param topK k, 1 or more
     * @return a builder
     * @throws IllegalArgumentException if k is below 1
     */
    public static Builder builder(int topK) {
        return new Builder(topK);
    }

    /**
     * The plain dropless router: the k largest softmax scores, as they are or divided by their sum.
     *
     * @param topK k, 1 or more
     * @param normalized whether a token's weights sum to 1
     * @return the router
     * @throws IllegalArgumentException if k is below 1
     */
    public static ScoreRouter softmaxTopK(int topK, boolean normalized) {
        var rule = WeightRule.SCORES.normalized(normalized ? WeightRule.Normalization.SUM : null);
        return builder(topK).weightRule(rule).build();
    }

    @Override
    public int topK() {
        return topK;
    }

    /**
     * How logits become scores.
     *
     * @return the gating
     */
    public Gating gating() {
        return gating;
    }

    /**
     * How experts are chosen.
     *
     * @return the selection
     */
    public Selection selection() {
        return selection;
    }

    /**
     * Whether the second choice is kept at random in training.
     *
     * @return what {@link Builder#randomSecondExpert} was given
     */
    public boolean randomSecondExpert() {
        return randomSecondExpert;
    }

    /**
     * Whether the gradient stops at the logits.
     *
     * @return what {@link Builder#frozen} was given
     */
    public boolean frozen() {
        return frozen;
    }

    /**
     * Which choices are dropped.
     *
     * @return the rule, or null if none are
     */
    public @Nullable CapacityRule capacity() {
        return capacity;
    }

    /**
     * How weights are made.
     *
     * @return the rule
     */
    public WeightRule weightRule() {
        return weightRule;
    }

    /**
     * Routes every token.
     *
     * @throws IllegalArgumentException if k is above E, or an option needs a part that the input lacks
     */
    @Override
    public Routing route(RouterInput input) {
        if (topK > input.numExperts()) {
            throw Arguments.mismatch("topK", "at most numExperts = " + input.numExperts(), topK);
        }
        int slots = Math.multiplyExact(input.tokens(), topK);
        var gated = new Routing.Gated(gating, input);
        var selected = new int[slots];
        Arrays.fill(selected, -1);
        selection.select(new Selection.Candidates(input, topK, gated.gateLogits, gated.scores), selected);
        int[] kept = drop(selected, gated, input);
        var choice = new Routing.Choice(selected, kept);
        double[] weights = weightRule.weights(gated, choice, input.tokens(), input.numExperts(), topK);
        return Routing.of(input, topK, gated, choice, weights);
    }

    private int[] drop(int[] selected, Routing.Gated gated, RouterInput input) {
        int[] kept = selected;
        if (randomSecondExpert && input.training()) {
            kept = dropSecondAtRandom(selected, gated, input);
        }
        return capacity == null ? kept : capacity.drop(kept, gated.scores, input, topK);
    }

    private int[] dropSecondAtRandom(int[] selected, Routing.Gated gated, RouterInput input) {
        var all = new Routing.Choice(selected, selected);
        var rule = weightRule.overKept() ? WeightRule.SCORES : weightRule.scaled(1);
        double[] weights = rule.weights(gated, all, input.tokens(), input.numExperts(), topK);
        double[] uniform = input.noise().draw(RouterNoise.Draw.SECOND_CHOICE_UNIFORM, input.tokens());
        int[] kept = selected.clone();
        for (int token = 0; token < input.tokens(); token++) {
            int second = token * topK + 1;
            if (!(2 * weights[second] > uniform[token])) {
                kept[second] = -1;
            }
        }
        return kept;
    }

    /**
     * Adds the exact gradient through weight rule, scores, score function and capping. A frozen router adds nothing.
     *
     * @throws IllegalArgumentException if lengths disagree with the routing, or the routing with this router
     */
    @Override
    public void backward(Routing routing, double[] dWeights, double[] dLogits) {
        Arguments.length("dLogits", dLogits.length, routing.logits().length, "tokens x numExperts");
        if (!frozen) {
            var gradient = new GateGradient(routing, dWeights);
            for (int token = 0; token < routing.tokens(); token++) {
                routing.addGateGradient(token, gradient.of(token), dLogits);
            }
        }
    }

    /**
     * Adds the gradient of the noise logits of noisy gating that comes through the combine weights.
     *
     * @param routing what {@link #route} of this router returned
     * @param dWeights gradient of the weights, [T, k]
     * @param dNoiseLogits added to, [T, E]; left alone if no noise was added
     * @throws IllegalArgumentException if lengths disagree with the routing, or the routing with this router
     */
    public void backwardNoise(Routing routing, double[] dWeights, double[] dNoiseLogits) {
        Arguments.length("dNoiseLogits", dNoiseLogits.length, routing.logits().length, "tokens x numExperts");
        if (!frozen) {
            var gradient = new GateGradient(routing, dWeights);
            for (int token = 0; token < routing.tokens(); token++) {
                routing.addNoiseGradient(token, gradient.of(token), dNoiseLogits);
            }
        }
    }

    /** The gradient of the gate logits that a gradient of the weights causes, token by token: there is never more of it than a row. */
    private final class GateGradient {
        private final Routing routing;
        private final double[] dWeights;
        private final double[] dScores;
        private final double[] dGate;
        private final double[] raw = new double[topK];
        private final double[] dRaw = new double[topK];

        GateGradient(Routing routing, double[] dWeights) {
            if (routing.topK() != topK) {
                throw Arguments.mismatch("routing", "one with topK = " + topK, "topK = " + routing.topK());
            }
            if (routing.units() != null) {
                throw Arguments.mismatch("routing", "one of single tokens", "one of a sequence-level router");
            }
            Arguments.length("dWeights", dWeights.length, routing.weights().length, "tokens x topK");
            this.routing = routing;
            this.dWeights = dWeights;
            this.dScores = new double[routing.numExperts()];
            this.dGate = new double[routing.numExperts()];
        }

        /** One token's row [E], valid until the next call. */
        double[] of(int token) {
            Arrays.fill(dGate, 0);
            if (weightRule.source() == WeightRule.Source.SCORE) {
                Arrays.fill(dScores, 0);
                weightRule.backward(routing, token, dWeights, raw, dRaw, dScores);
                int experts = dGate.length;
                gating.function()
                        .backward(routing.gateLogits(), routing.scores(), token * experts, dScores, dGate, 0, experts);
            } else {
                weightRule.backward(routing, token, dWeights, raw, dRaw, dGate);
            }
            return dGate;
        }
    }

    /** Collects the options of a router. */
    public static final class Builder {

        private final int topK;
        private Gating gating = Gating.SOFTMAX;
        private Selection selection = TopKSelection.BY_SCORE;
        private boolean randomSecondExpert;
        private @Nullable CapacityRule capacity;
        private WeightRule weightRule = WeightRule.SCORES;
        private boolean frozen;

        private Builder(int topK) {
            this.topK = Arguments.atLeast("topK", topK, 1);
        }

        /**
         * Sets how logits become scores.
         *
         * @param value the gating
         * @return this
         */
        public Builder gating(Gating value) {
            this.gating = value;
            return this;
        }

        /**
         * Sets how experts are chosen.
         *
         * @param value the selection
         * @return this
         */
        public Builder selection(Selection value) {
            this.selection = value;
            return this;
        }

        /**
         * In training, keeps the second choice with probability min(1, 2 w_2) only (GShard, arXiv 2006.16668, section
         * 2.2); a choice that is not kept takes no place in its expert's queue. w_2 is the weight before dropping
         * without the scale, or the score if the weight rule runs after dropping (NLLB's {@code second_expert_policy}
         * random).
         *
         * @param on whether to do so
         * @return this
         */
        public Builder randomSecondExpert(boolean on) {
            this.randomSecondExpert = on;
            return this;
        }

        /**
         * Sets which choices are dropped.
         *
         * @param value the rule, or null to drop none
         * @return this
         */
        public Builder capacity(@Nullable CapacityRule value) {
            this.capacity = value;
            return this;
        }

        /**
         * Sets how weights are made.
         *
         * @param value the rule
         * @return this
         */
        public Builder weightRule(WeightRule value) {
            this.weightRule = value;
            return this;
        }

        /**
         * Stops the gradient at the logits: for a router that is random and never trained.
         *
         * @param on whether to do so
         * @return this
         */
        public Builder frozen(boolean on) {
            this.frozen = on;
            return this;
        }

        /**
         * Makes the router.
         *
         * @return the router
         * @throws IllegalArgumentException if a random second expert is asked for and k is not 2
         */
        public ScoreRouter build() {
            if (randomSecondExpert && topK != 2) {
                throw Arguments.mismatch("topK", "2 for a random second expert", topK);
            }
            return new ScoreRouter(this);
        }
    }
}
