package dev.dropless.cli.comparison;

import dev.dropless.cli.BadInput;
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
     * Checks the sizes of a layer and of a batch, so that a command can refuse them before it computes.
     *
     * @param tokens T
     * @throws BadInput if a size is below 1, k exceeds E, or a matrix that is held as one array has 2^31 elements or more
     */
    public void check(int tokens) {
        atLeastOne("--tokens", tokens);
        atLeastOne("--hidden", hiddenSize);
        atLeastOne("--ffn", ffnHiddenSize);
        atLeastOne("--experts", numExperts);
        atLeastOne("--topk", topK);
        if (topK > numExperts) {
            throw new BadInput("--topk: expected at most the %d experts, found %d".formatted(numExperts, topK));
        }
        below2To31("--tokens x --hidden", tokens, hiddenSize);
        below2To31("--tokens x --experts", tokens, numExperts);
        below2To31("--tokens x --topk", tokens, topK);
        below2To31("--experts x --hidden", numExperts, hiddenSize);
        below2To31("--hidden x --ffn", hiddenSize, ffnHiddenSize);
    }

    private static void atLeastOne(String option, int value) {
        if (value < 1) {
            throw new BadInput("%s: expected at least 1, found %d".formatted(option, value));
        }
    }

    private static void below2To31(String options, int first, int second) {
        if ((long) first * second > Integer.MAX_VALUE) {
            throw new BadInput("%s: expected a product below 2^31, found %d x %d".formatted(options, first, second));
        }
    }

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
