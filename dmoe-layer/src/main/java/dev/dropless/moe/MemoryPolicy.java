package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;

/**
 * What forward keeps of the experts' work for backward. With k slots per token, F the ffn size, P the pre-activations of a row (F, or 2F where gated) and b
 * the bytes of an activation, the routed experts keep per token
 * <pre>
 *   SAVE_ALL               k (P + F) b
 *   RECOMPUTE_ACTIVATION   k P b          MegaBlocks' memory-optimised path keeps k (H + P) b beside the gathered input
 *   RECOMPUTE_UP_PROJECTION    0          one more up-projection in backward
 * </pre>
 * and the shared expert the same with k = 1 and its own sizes. Expert outputs and the gathered input are never kept: the gradient of a routing weight
 * comes from the activations (SonicMoE, arXiv 2512.14080), and the input is the caller's.
 *
 * <p>Gradients do not depend on the policy, to the last bit, where activations are stored in the type the back end accumulates in; where they are narrower, RECOMPUTE_ACTIVATION
 * applies the activation to rounded pre-activations.
 */
public enum MemoryPolicy {
    /** Keep pre-activations and activations: least work. */
    SAVE_ALL(true, true),
    /** Keep pre-activations; apply the activation again in backward, fused with a product. */
    RECOMPUTE_ACTIVATION(true, false),
    /** Keep neither; compute the up-projection again in backward. */
    RECOMPUTE_UP_PROJECTION(false, false);

    private final boolean keepsPre;
    private final boolean keepsHidden;

    MemoryPolicy(boolean keepsPre, boolean keepsHidden) {
        this.keepsPre = keepsPre;
        this.keepsHidden = keepsHidden;
    }

    /**
     * Tells whether pre-activations are kept.
     *
     * @return true if so
     */
    public boolean keepsPreActivations() {
        return keepsPre;
    }

    /**
     * Tells whether activations are kept.
     *
     * @return true if so
     */
    public boolean keepsActivations() {
        return keepsHidden;
    }

    /**
     * Bytes of the back end's memory that a {@link SavedState} holds for each token, when everything is trainable, every slot has an expert with weights, and the batch is
     * in training mode. Beside the experts' share this counts the routing weights, the shared gate, latent vectors and jitter factors. The routing and the
     * topology lie on the Java heap: about 16 routedChoices + 28 k bytes per token, whatever the policy. Where the back end routes ({@code MoeLayer.routingPlace}) they lie in its memory: 4 routedChoices + 16 k
     * bytes beside the routing weights, and 12 bytes for each tile of 128 rows.
     *
     * @param config the layer
     * @param precision its types
     * @param accumulation type in which the back end accumulates
     * @return bytes per token
     */
    public long bytesPerToken(MoeConfig config, Precision precision, ElementType accumulation) {
        long activation = precision.activations().bytes();
        long wide = accumulation.bytes();
        int k = config.topK();
        long bytes = k * rowElements(config.experts()) * activation;
        bytes += k * wide;
        if (config.weightPlacement() == WeightPlacement.INPUT && config.routedFactor() != 1) {
            bytes += k * wide;
        }
        SharedExpert shared = config.shared();
        if (shared != null) {
            bytes += rowElements(shared.shape()) * activation;
            bytes += shared.sigmoidGate() || config.sharedFactor() != 1 ? wide : 0;
        }
        if (config.hasLatent()) {
            bytes += (keepsPre ? 2L : 1L) * config.latentSize() * wide;
        }
        return bytes + (config.inputJitter().epsilon() > 0 ? config.hiddenSize() * wide : 0);
    }

    private long rowElements(ExpertShape shape) {
        return (keepsPre ? (long) shape.preActivations() : 0) + (keepsHidden ? shape.ffnHiddenSize() : 0);
    }
}
