package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/**
 * Shazeer's importance loss:
 *
 * <pre>  loss = weight * CV(I)^2,   I_e = sum over t of the combine weight w_te</pre>
 *
 * with CV the coefficient of variation over experts (population variance). Convention: the gradient is with respect to
 * {@link LossValue#dWeights}. Source: Shazeer et al. 2017, arXiv 1701.06538, equations 6-7.
 *
 * @param weight factor on the loss
 */
public record ImportanceLoss(double weight) implements AuxiliaryLoss {

    /**
     * Checks the weight.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public ImportanceLoss {
        Checks.coefficient("weight", weight);
    }

    @Override
    public LossValue evaluate(Routing routing) {
        int[] ids = routing.expertIds();
        var importance = new double[routing.numExperts()];
        for (int slot = 0; slot < ids.length; slot++) {
            if (ids[slot] >= 0) {
                importance[ids[slot]] += routing.weights()[slot];
            }
        }
        var dImportance = new double[importance.length];
        double value = SquaredVariation.evaluate(importance, weight, dImportance);
        var dWeights = new double[ids.length];
        for (int slot = 0; slot < ids.length; slot++) {
            dWeights[slot] = ids[slot] < 0 ? 0 : dImportance[ids[slot]];
        }
        return LossValue.ofWeights(value, routing.logits().length, dWeights);
    }
}
