package dev.dropless.moe.router;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Combine weights of a token's selected experts: w_j = scale * r_j / d with r from {@code source} and d from
 * {@code normalization} (1 without). A dropped choice has weight 0.
 *
 * @param source where r comes from
 * @param normalization what r is divided by, or null
 * @param scale factor on the result
 * @param overKept whether softmax and normalisation run over the choices that are left after dropping (true) or over
 *     all choices, before any is dropped (false); without a capacity rule there is no difference
 */
public record WeightRule(Source source, @Nullable Normalization normalization, double scale, boolean overKept) {

    /** Where unnormalised weights come from. */
    public enum Source {
        /** The scores of the selected experts. */
        SCORE,
        /** Softmax over the gate logits of the selected experts only. */
        SOFTMAX_OF_SELECTED,
        /** Sigmoid of the gate logits of the selected experts. */
        SIGMOID_OF_SELECTED,
        /** 1/k whatever the scores: nothing is learned. */
        EVEN
    }

    /**
     * The divisor d = max((sum of |r|^p)^(1/p) + epsilon, floor). Where the floor decides, it is a constant for the
     * gradient.
     *
     * @param p order of the norm, 1 or more
     * @param epsilon added to the norm
     * @param floor smallest divisor
     */
    public record Normalization(double p, double epsilon, double floor) {

        /** Division by the plain sum. */
        public static final Normalization SUM = new Normalization(1, 0, 0);

        /**
         * Checks the numbers.
         *
         * @throws IllegalArgumentException if p is below 1 or a number is negative or not finite
         */
        public Normalization {
            if (!(p >= 1) || Double.isInfinite(p)) {
                throw Arguments.mismatch("p", "a finite number of at least 1", p);
            }
            Arguments.notNegative("epsilon", epsilon);
            Arguments.notNegative("floor", floor);
        }

        /**
         * Division by sum + epsilon.
         *
         * @param epsilon added to the sum
         * @return the normalisation
         */
        public static Normalization sumPlus(double epsilon) {
            return new Normalization(1, epsilon, 0);
        }

        /**
         * Division by max(sum, floor).
         *
         * @param floor smallest divisor
         * @return the normalisation
         */
        public static Normalization sumAtLeast(double floor) {
            return new Normalization(1, 0, floor);
        }

        /**
         * Division by the p-norm.
         *
         * @param p order of the norm, 1 or more
         * @return the normalisation
         */
        public static Normalization norm(double p) {
            return new Normalization(p, 0, 0);
        }

        private double norm(double[] raw) {
            double sum = 0;
            for (double r : raw) {
                sum += p == 1 ? Math.abs(r) : Math.pow(Math.abs(r), p);
            }
            return p == 1 ? sum : Math.pow(sum, 1 / p);
        }

        double divisor(double[] raw) {
            return Math.max(norm(raw) + epsilon, floor);
        }

        /** Adds dDivisor times the derivative of the divisor with respect to each r. */
        void backward(double[] raw, double dDivisor, double[] dRaw) {
            double norm = norm(raw);
            if (norm + epsilon < floor) {
                return;
            }
            for (int j = 0; j < raw.length; j++) {
                if (raw[j] != 0) {
                    double slope = p == 1 ? 1 : Math.pow(Math.abs(raw[j]) / norm, p - 1);
                    dRaw[j] += dDivisor * slope * Math.signum(raw[j]);
                }
            }
        }
    }

    /** The selected scores as they are. */
    public static final WeightRule SCORES = new WeightRule(Source.SCORE, null, 1, false);

    /** Softmax over the selected gate logits. */
    public static final WeightRule SOFTMAX_OF_SELECTED = new WeightRule(Source.SOFTMAX_OF_SELECTED, null, 1, false);

    /** Sigmoid of the selected gate logits. */
    public static final WeightRule SIGMOID_OF_SELECTED = new WeightRule(Source.SIGMOID_OF_SELECTED, null, 1, false);

    /**
     * Checks the factor.
     *
     * @throws IllegalArgumentException if the scale is not finite
     */
    public WeightRule {
        if (!Double.isFinite(scale)) {
            throw Arguments.mismatch("scale", "a finite number", scale);
        }
    }

    /**
     * The same rule with another normalisation.
     *
     * @param other what to divide by, or null
     * @return the rule
     */
    public WeightRule normalized(@Nullable Normalization other) {
        return new WeightRule(source, other, scale, overKept);
    }

    /**
     * The same rule with another factor.
     *
     * @param other the factor
     * @return the rule
     * @throws IllegalArgumentException if the factor is not finite
     */
    public WeightRule scaled(double other) {
        return new WeightRule(source, normalization, other, overKept);
    }

    /**
     * The same rule, run over the choices that are left after dropping.
     *
     * @return the rule
     */
    public WeightRule afterDropping() {
        return new WeightRule(source, normalization, scale, true);
    }

    /** Weights [T, k]. */
    double[] weights(Routing.Gated gated, Routing.Choice choice, int tokens, int numExperts, int topK) {
        int[] base = overKept ? choice.expertIds : choice.selectedIds;
        var weights = new double[choice.expertIds.length];
        var raw = new double[topK];
        for (int token = 0; token < tokens; token++) {
            int slot = token * topK;
            raw(gated.gateLogits, gated.scores, token * numExperts, base, slot, raw);
            double divisor = normalization == null ? 1 : normalization.divisor(raw);
            for (int j = 0; j < topK; j++) {
                weights[slot + j] = choice.expertIds[slot + j] < 0 ? 0 : scale * (raw[j] / divisor);
            }
        }
        return weights;
    }

    /** The r of one token; 0 where there is no choice. */
    private void raw(double[] gate, double[] scores, int row, int[] ids, int slot, double[] raw) {
        int k = raw.length;
        for (int j = 0; j < k; j++) {
            int id = ids[slot + j];
            raw[j] = switch (source) {
                case SCORE -> id < 0 ? 0 : scores[row + id];
                case SIGMOID_OF_SELECTED -> id < 0 ? 0 : ScoreFunction.sigmoid(gate[row + id]);
                case EVEN -> id < 0 ? 0 : 1.0 / k;
                case SOFTMAX_OF_SELECTED -> id < 0 ? Double.NEGATIVE_INFINITY : gate[row + id];
            };
        }
        if (source == Source.SOFTMAX_OF_SELECTED) {
            softmaxOfPresent(ids, slot, raw);
        }
    }

    private static void softmaxOfPresent(int[] ids, int slot, double[] raw) {
        boolean any = false;
        for (int j = 0; j < raw.length; j++) {
            any |= ids[slot + j] >= 0;
        }
        if (any) {
            ScoreFunction.softmax(raw, raw, 0, raw.length);
        } else {
            Arrays.fill(raw, 0);
        }
    }

    /**
     * Adds the gradient of one token's scores, or where weights are made from them of its gate logits, that the weights' gradient causes.
     *
     * @param dWeights [T, k]
     * @param raw scratch [k]
     * @param dRaw scratch [k]
     * @param target added to, [E]
     */
    void backward(Routing routing, int token, double[] dWeights, double[] raw, double[] dRaw, double[] target) {
        int[] kept = routing.expertIds();
        int[] base = overKept ? kept : routing.selectedIds();
        int slot = token * routing.topK();
        int row = token * routing.numExperts();
        raw(routing.gateLogits(), routing.scores(), row, base, slot, raw);
        divisorBackward(kept, slot, raw, dWeights, dRaw);
        sourceBackward(routing, base, slot, row, raw, dRaw, target);
    }

    private void divisorBackward(int[] kept, int slot, double[] raw, double[] dWeights, double[] dRaw) {
        double divisor = normalization == null ? 1 : normalization.divisor(raw);
        double dDivisor = 0;
        for (int j = 0; j < raw.length; j++) {
            dRaw[j] = kept[slot + j] < 0 ? 0 : scale * dWeights[slot + j] / divisor;
            if (dRaw[j] != 0) {
                dDivisor -= dRaw[j] * (raw[j] / divisor);
            }
        }
        if (normalization != null && dDivisor != 0) {
            normalization.backward(raw, dDivisor, dRaw);
        }
    }

    private void sourceBackward(
            Routing routing, int[] ids, int slot, int row, double[] raw, double[] dRaw, double[] target) {
        double mean = 0;
        for (int j = 0; j < raw.length; j++) {
            mean += raw[j] * dRaw[j];
        }
        for (int j = 0; j < raw.length; j++) {
            int id = ids[slot + j];
            if (id >= 0) {
                target[id] += switch (source) {
                    case SCORE -> dRaw[j];
                    case SIGMOID_OF_SELECTED ->
                        dRaw[j] * raw[j] * ScoreFunction.sigmoid(-routing.gateLogits()[row + id]);
                    case EVEN -> 0;
                    case SOFTMAX_OF_SELECTED -> raw[j] * (dRaw[j] - mean);
                };
            }
        }
    }
}
