package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import java.util.List;

/** A loss over the routings of several layers, which need not be the sum of one loss per layer. */
public interface MultiLayerLoss extends AuxiliaryLoss {

    /**
     * Computes the loss, coefficient included, and its gradient.
     *
     * @param layers routings of the layers, of equal E and k
     * @return value and gradients, one per layer; 0 for no layers or no tokens
     * @throws IllegalArgumentException if the layers differ in size
     */
    MultiLayerLossValue evaluate(List<Routing> layers);

    /**
     * Computes the loss of one layer alone.
     *
     * @param routing what a router decided
     * @return value and gradient; 0 for no tokens
     */
    @Override
    default LossValue evaluate(Routing routing) {
        MultiLayerLossValue value = evaluate(List.of(routing));
        return LossValue.ofLogits(value.value(), value.dLogits().getFirst());
    }
}
