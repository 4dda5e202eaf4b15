package dev.dropless.cli.comparison;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeInitializer;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.ScoreRouter;

/**
 * Sizes of a layer of OLMoE's form: gated SiLU experts, softmax over all experts, the k best, weights not renormalised (arXiv 2409.02060).
 *
 * @param hiddenSize H
 * @param ffnHiddenSize F
 * @param numExperts E
 * @param topK k
 */
public record LayerShape(int hiddenSize, int ffnHiddenSize, int numExperts, int topK) {

    /**
     * The model's own router.
     *
     * @return the k experts of largest probability
     */
    public Router router() {
        return ScoreRouter.softmaxTopK(topK, false);
    }

    /**
     * A router whose choice is fixed, and whose weights and gradients are the model's own.
     *
     * @param expertIds experts of every slot [T, k]; batches of fewer tokens take the first
     * @return the router
     */
    public Router router(int[] expertIds) {
        return ScoreRouter.builder(topK)
                .selection((candidates, ids) -> System.arraycopy(expertIds, 0, ids, 0, ids.length))
                .build();
    }

    /**
     * The layer with a router.
     *
     * @param router decides which experts compute
     * @return the configuration
     */
    public MoeConfig config(Router router) {
        return MoeConfig.builder(hiddenSize, ffnHiddenSize, numExperts, router).build();
    }

    /**
     * Initial values that keep the size of unit normal tokens: logits and pre-activations of about unit variance.
     *
     * @return the initialiser
     */
    MoeInitializer initializer() {
        return new MoeInitializer(1 / Math.sqrt(hiddenSize), 1 / Math.sqrt(ffnHiddenSize));
    }
}
