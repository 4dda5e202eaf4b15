package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The load-balancing loss of Hugging Face models (Mixtral, OLMoE, Qwen-MoE, Granite, Jamba, GPT-OSS, DBRX and others):
 *
 * <pre>  loss = coefficient * E * sum over k and e of f_ke * P_e</pre>
 *
 * with f_ke the share of tokens whose k-th best p is expert e and P_e the mean of p_te, p = softmax(router logits).
 *
 * <p>Convention: all k choices count, so the loss is k times that of versions which divide by k. Choices are those of
 * the k largest p, whatever biases or groups the router selects by. Layers are concatenated along the tokens before
 * both averages; tokens that the attention mask leaves out are in neither, in any layer. Source: {@code
 * load_balancing_loss_func} of {@code transformers}, after Switch Transformers (arXiv 2101.03961), equations 4-6.
 *
 * @param coefficient factor on the loss
 */
public record LoadBalancingLoss(double coefficient) implements MultiLayerLoss {

    /**
     * Checks the coefficient.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public LoadBalancingLoss {
        Checks.coefficient("coefficient", coefficient);
    }

    @Override
    public MultiLayerLossValue evaluate(List<Routing> layers) {
        return evaluate(layers, null);
    }

    /**
     * Computes the loss over the tokens that a mask lets through.
     *
     * @param layers routings of the layers, of equal E and k
     * @param attentionMask [T], true for real tokens, for every layer; null for all
     * @return value and gradients, one per layer; 0 for no layers or no tokens
     * @throws IllegalArgumentException if the layers differ in size, or the mask does not fit
     */
    public MultiLayerLossValue evaluate(List<Routing> layers, boolean @Nullable [] attentionMask) {
        Checks.sameSizes(layers, false);
        if (layers.isEmpty()) {
            return new MultiLayerLossValue(0, List.of());
        }
        int experts = layers.getFirst().numExperts();
        var probabilities = new ArrayList<double[]>();
        var counts = new double[experts];
        long tokens = 0;
        for (Routing layer : layers) {
            checkMask(layer, attentionMask);
            double[] p = Balance.probabilities(layer);
            probabilities.add(p);
            tokens += count(layer, p, attentionMask, counts);
        }
        // mean of f times mean of p: one 1/N from each
        double factor = tokens == 0 ? 0 : coefficient * experts / ((double) tokens * tokens);
        return weigh(layers, probabilities, Balance.scaled(counts, factor), attentionMask);
    }

    private static void checkMask(Routing layer, boolean @Nullable [] mask) {
        if (mask != null && mask.length != layer.tokens()) {
            throw Checks.mismatch("attentionMask", layer.tokens() + " values (tokens)", mask.length);
        }
    }

    private static int count(Routing layer, double[] p, boolean @Nullable [] mask, double[] counts) {
        int[] ids = Balance.plainTopK(layer, p);
        int tokens = 0;
        for (int token = 0; token < layer.tokens(); token++) {
            if (mask == null || mask[token]) {
                tokens++;
                for (int j = 0; j < layer.topK(); j++) {
                    counts[ids[token * layer.topK() + j]]++;
                }
            }
        }
        return tokens;
    }

    private static MultiLayerLossValue weigh(
            List<Routing> layers, List<double[]> probabilities, double[] factors, boolean @Nullable [] mask) {
        double value = 0;
        var gradients = new ArrayList<double[]>();
        for (int i = 0; i < layers.size(); i++) {
            Routing layer = layers.get(i);
            double[] p = probabilities.get(i);
            var dP = new double[p.length];
            for (int token = 0; token < layer.tokens(); token++) {
                if (mask == null || mask[token]) {
                    value += Balance.weightedSum(factors, p, token, 1, dP);
                }
            }
            gradients.add(Balance.probabilitiesBackward(layer, p, dP));
        }
        return new MultiLayerLossValue(value, gradients);
    }
}
