package dev.dropless.moe.loss;

import java.util.List;

/**
 * A loss over several layers.
 *
 * @param value the loss, coefficient included
 * @param dLogits its gradient with respect to each layer's router logits, [T, E] each, in the order of the layers
 */
public record MultiLayerLossValue(double value, List<double[]> dLogits) {

    /** Makes the list unmodifiable. */
    public MultiLayerLossValue {
        dLogits = List.copyOf(dLogits);
    }
}
