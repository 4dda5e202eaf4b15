package dev.dropless.moe.router;

/**
 * Decides from the router logits which experts compute a token and with what weight. A router is immutable and has no parameters: the weight that makes
 * the logits belongs to the layer, and so do selection biases, which reach it through {@link RouterInput}.
 *
 * <p>All router arithmetic after the logits is in double precision, on the host. Ties go to the lower expert id.
 */
public interface Router {

    /**
     * Returns the number of slots of each token.
     *
     * @return k, 1 or more
     */
    int topK();

    /**
     * Routes every token.
     *
     * @param input logits and what else the decision needs
     * @return expert ids and weights, with what backward and the losses need
     * @throws IllegalArgumentException if the input lacks something this router needs, or sizes disagree
     */
    Routing route(RouterInput input);

    /**
     * Adds the gradient that comes through the combine weights to the gradient of the logits. Expert ids and selection biases carry none.
     *
     * @param routing what {@link #route} of this router returned
     * @param dWeights gradient of {@link Routing#weights}, [T, k]
     * @param dLogits added to, [T, E]
     */
    void backward(Routing routing, double[] dWeights, double[] dLogits);
}
