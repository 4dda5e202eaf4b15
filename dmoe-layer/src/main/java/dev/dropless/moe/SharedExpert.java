package dev.dropless.moe;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ExpertShape;

/**
 * The expert that computes every token, beside the routed ones. It sees the layer's input, also where the routed experts see a latent projection of it.
 *
 * @param shape its sizes: one expert, of the layer's hidden size
 * @param activation its activation
 * @param sigmoidGate whether its output is multiplied by sigmoid(x ws^T), with ws [1, hiddenSize] a parameter (Qwen2 MoE)
 */
public record SharedExpert(ExpertShape shape, Activation activation, boolean sigmoidGate) {

    /**
     * Checks that it is one expert.
     *
     * @throws IllegalArgumentException if {@code shape} has more than one
     */
    public SharedExpert {
        if (shape.numExperts() != 1) {
            throw new IllegalArgumentException("shared.shape.numExperts: expected 1, found " + shape.numExperts());
        }
    }
}
