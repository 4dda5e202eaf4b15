package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/**
 * The expert-level balance losses of DeepSeek-V2 and DeepSeek-V3. Over the S tokens of a sequence (or all tokens of the
 * batch):
 *
 * <pre>  loss = alpha * mean over sequences of sum over e of f_e * P_e
 *  f_e = E * count_e / (k * S),   P_e = mean over t of q_te</pre>
 *
 * <p>Convention: divided by k, so perfect balance gives alpha times the mean sum of q. The variants differ in what
 * counts and in q; see {@link Variant}.
 *
 * @param alpha factor on the loss
 * @param variant what counts, and over which tokens
 */
public record DeepSeekBalancingLoss(double alpha, Variant variant) implements AuxiliaryLoss {

    /** What counts, and over which tokens. */
    public enum Variant {
        /**
         * DeepSeek-V2 with {@code seq_aux}: per sequence, choices are the router's own, q the scores (arXiv 2405.04434,
         * equations 23-25).
         */
        V2_SEQUENCE,
        /** DeepSeek-V2 without {@code seq_aux}: the same over the whole batch. */
        V2_BATCH,
        /**
         * DeepSeek-V3's complementary sequence-wise loss: per sequence, choices are the k largest scores without bias
         * or groups, q the scores divided by their sum (arXiv 2412.19437, equations 17-20).
         */
        V3_SEQUENCE
    }

    /**
     * Checks alpha.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public DeepSeekBalancingLoss {
        Checks.coefficient("alpha", alpha);
    }

    @Override
    public LossValue evaluate(Routing routing) {
        int k = routing.topK();
        int experts = routing.numExperts();
        int parts = variant == Variant.V2_BATCH ? 1 : routing.input().batch();
        int length =
                variant == Variant.V2_BATCH ? routing.tokens() : routing.input().sequence();
        boolean v3 = variant == Variant.V3_SEQUENCE;
        double[] q = v3 ? shares(routing) : routing.scores();
        int[] choices = v3 ? Balance.plainTopK(routing, routing.scores()) : routing.selectedIds();
        double factor = alpha * experts / ((double) k * length) / ((double) parts * length);
        double value = 0;
        var dQ = new double[q.length];
        for (int part = 0; part < parts && length > 0; part++) {
            double[] counts = Balance.counts(choices, part * length, length, k, experts);
            value += Balance.weightedSum(Balance.scaled(counts, factor), q, part * length, length, dQ);
        }
        var dLogits = new double[q.length];
        routing.addScoreGradient(v3 ? sharesBackward(routing, q, dQ) : dQ, dLogits);
        return LossValue.ofLogits(value, dLogits);
    }

    private static double[] shares(Routing routing) {
        double[] q = routing.scores().clone();
        int experts = routing.numExperts();
        for (int row = 0; row < q.length; row += experts) {
            double sum = sum(routing.scores(), row, experts);
            for (int i = row; i < row + experts; i++) {
                q[i] /= sum;
            }
        }
        return q;
    }

    private static double[] sharesBackward(Routing routing, double[] q, double[] dQ) {
        int experts = routing.numExperts();
        var dScores = new double[q.length];
        for (int row = 0; row < q.length; row += experts) {
            double mean = 0;
            for (int i = row; i < row + experts; i++) {
                mean += q[i] * dQ[i];
            }
            double sum = sum(routing.scores(), row, experts);
            for (int i = row; i < row + experts; i++) {
                dScores[i] = (dQ[i] - mean) / sum;
            }
        }
        return dScores;
    }

    private static double sum(double[] values, int offset, int count) {
        double sum = 0;
        for (int i = offset; i < offset + count; i++) {
            sum += values[i];
        }
        return sum;
    }
}
