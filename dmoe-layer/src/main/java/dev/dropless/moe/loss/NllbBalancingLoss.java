package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/**
 * The load-balancing loss of NLLB-MoE:
 *
 * <pre>  loss = coefficient * E * sum over e of f_e * P_e</pre>
 *
 * with f_e the share of tokens whose kept first choice is e and P_e the mean over tokens of the final combine weight
 * w_te, 0 for experts that do not compute the token.
 *
 * <p>Convention: a dropped first choice counts as expert 0, and P is made of combine weights, not of probabilities, so
 * the gradient is with respect to {@link LossValue#dWeights}. Source: {@code load_balancing_loss_func} as called by
 * {@code NllbMoeSparseMLP} of {@code transformers}; NLLB team 2022, arXiv 2207.04672.
 *
 * @param coefficient factor on the loss
 */
public record NllbBalancingLoss(double coefficient) implements AuxiliaryLoss {

    /**
     * Checks the coefficient.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public NllbBalancingLoss {
        Checks.coefficient("coefficient", coefficient);
    }

    @Override
    public LossValue evaluate(Routing routing) {
        double tokens = routing.tokens();
        var dWeights = new double[routing.weights().length];
        double[] factors = SwitchBalancingLoss.firstChoices(routing, 0, routing.tokens());
        Balance.scaled(factors, coefficient * routing.numExperts() / (tokens * tokens));
        double value = 0;
        for (int slot = 0; slot < dWeights.length; slot++) {
            int expert = routing.expertIds()[slot];
            if (expert >= 0) {
                dWeights[slot] = factors[expert];
                value += factors[expert] * routing.weights()[slot];
            }
        }
        return LossValue.ofWeights(value, routing.logits().length, dWeights);
    }
}
