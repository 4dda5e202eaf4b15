package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/**
 * Router z-loss:
 *
 * <pre>  loss = coefficient * mean over t of (ln sum over e of exp(z_te))^2</pre>
 *
 * with z the router logits as they came. Convention: one value per router, not summed over layers and not divided by
 * their number (MegaBlocks returns the vector, Hugging Face's Switch adds them up). Source: ST-MoE (Zoph et al. 2022,
 * arXiv 2202.08906), equation 5.
 *
 * @param coefficient factor on the loss; 1e-3 is usual
 */
public record RouterZLoss(double coefficient) implements AuxiliaryLoss {

    /**
     * Checks the coefficient.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public RouterZLoss {
        Checks.coefficient("coefficient", coefficient);
    }

    @Override
    public LossValue evaluate(Routing routing) {
        int experts = routing.numExperts();
        double[] z = routing.logits();
        double[] dLogits = Balance.probabilities(routing);
        double value = 0;
        for (int token = 0; token < routing.tokens(); token++) {
            int row = token * experts;
            double logSumExp = logSumExp(z, row, experts);
            value += coefficient * logSumExp * logSumExp / routing.tokens();
            for (int i = row; i < row + experts; i++) {
                dLogits[i] *= 2 * coefficient * logSumExp / routing.tokens();
            }
        }
        return LossValue.ofLogits(value, dLogits);
    }

    private static double logSumExp(double[] z, int offset, int count) {
        double max = Double.NEGATIVE_INFINITY;
        for (int i = offset; i < offset + count; i++) {
            max = Math.max(max, z[i]);
        }
        double sum = 0;
        for (int i = offset; i < offset + count; i++) {
            sum += Math.exp(z[i] - max);
        }
        return max + Math.log(sum);
    }
}
