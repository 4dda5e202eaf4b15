package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import java.util.ArrayList;
import java.util.List;

/**
 * MegaBlocks' batched load-balancing loss:
 *
 * <pre>  loss = weight * E / (totalLayers * T * k) * sum over layers and e of n_le * mean over t of s_lte</pre>
 *
 * with n the number of choices of an expert, dropped ones included, and s the router's scores.
 *
 * <p>Convention: divided by T * k and by the layers of the whole model, so perfect balance over all layers gives the
 * weight itself. Counts are exact. Source: {@code batched_load_balancing_loss} of {@code databricks/megablocks}.
 *
 * @param weight factor on the loss ({@code moe_loss_weight})
 * @param totalLayers MoE layers of the whole model, 1 or more; those passed may be a part of them
 */
public record MegaBlocksBalancingLoss(double weight, int totalLayers) implements MultiLayerLoss {

    /**
     * Checks the numbers.
     *
     * @throws IllegalArgumentException if the weight is not finite or there is no layer
     */
    public MegaBlocksBalancingLoss {
        Checks.coefficient("weight", weight);
        if (totalLayers < 1) {
            throw Checks.mismatch("totalLayers", "at least 1", totalLayers);
        }
    }

    /**
     * Computes the loss, weight included, and its gradient.
     *
     * @throws IllegalArgumentException if the layers differ in T, E or k, or are more than {@code totalLayers}
     */
    @Override
    public MultiLayerLossValue evaluate(List<Routing> layers) {
        Checks.sameSizes(layers, true);
        if (layers.size() > totalLayers) {
            throw Checks.mismatch("layers", "at most totalLayers = " + totalLayers, layers.size());
        }
        double value = 0;
        var gradients = new ArrayList<double[]>();
        for (Routing layer : layers) {
            var dScores = new double[layer.scores().length];
            var dLogits = new double[dScores.length];
            if (layer.tokens() > 0) {
                double tokens = layer.tokens();
                double factor = weight * layer.numExperts() / (totalLayers * tokens * layer.topK()) / tokens;
                double[] counts =
                        Balance.counts(layer.selectedIds(), 0, layer.tokens(), layer.topK(), layer.numExperts());
                value +=
                        Balance.weightedSum(Balance.scaled(counts, factor), layer.scores(), 0, layer.tokens(), dScores);
                layer.addScoreGradient(dScores, dLogits);
            }
            gradients.add(dLogits);
        }
        return new MultiLayerLossValue(value, gradients);
    }
}
