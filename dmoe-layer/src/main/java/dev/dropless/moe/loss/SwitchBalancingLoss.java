package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/**
 * Switch Transformers' load-balancing loss:
 *
 * <pre>  loss = coefficient * mean over sequences of E * sum over e of f_e * P_e</pre>
 *
 * with f_e the share of the sequence's tokens that go to expert e and P_e the mean of p_te, p = softmax(router logits).
 *
 * <p>Convention: f counts the first choice after dropping, and a dropped token counts as expert 0, as Hugging Face's
 * {@code switch_transformers} does. Source: Fedus et al. 2021, arXiv 2101.03961, equations 4-6.
 *
 * @param coefficient factor on the loss; 0.01 in the paper
 */
public record SwitchBalancingLoss(double coefficient) implements AuxiliaryLoss {

    /**
     * Checks the coefficient.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public SwitchBalancingLoss {
        Checks.coefficient("coefficient", coefficient);
    }

    @Override
    public LossValue evaluate(Routing routing) {
        int batch = routing.input().batch();
        int length = routing.input().sequence();
        double[] p = Balance.probabilities(routing);
        var dP = new double[p.length];
        double factor = coefficient * routing.numExperts() / ((double) batch * length) / length;
        double value = 0;
        for (int row = 0; row < batch && length > 0; row++) {
            double[] counts = firstChoices(routing, row * length, length);
            value += Balance.weightedSum(Balance.scaled(counts, factor), p, row * length, length, dP);
        }
        return LossValue.ofLogits(value, Balance.probabilitiesBackward(routing, p, dP));
    }

    /** Tokens by kept first choice; a dropped one counts as expert 0. */
    static double[] firstChoices(Routing routing, int first, int rows) {
        var counts = new double[routing.numExperts()];
        for (int token = first; token < first + rows; token++) {
            counts[Math.max(routing.expertIds()[token * routing.topK()], 0)]++;
        }
        return counts;
    }
}
