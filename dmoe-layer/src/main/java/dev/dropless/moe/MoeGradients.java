package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Gradients of a layer's parameters. {@link MoeLayer#backward} adds to them; {@link #zero} between optimiser steps. One thread at a time may add.
 */
public final class MoeGradients extends LayerTensors {

    /**
     * Allocates gradients, all zero.
     *
     * @param kernels whose memory and layout to use: those of the parameters
     * @param config the layer's configuration
     * @param trainable which groups to allocate; {@link Trainable#INPUT} has no tensor
     * @param type stored type; F32 also where the weights are narrower, so that small steps are not lost
     * @throws IllegalArgumentException if the back end cannot store the type
     */
    public MoeGradients(Kernels kernels, MoeConfig config, Set<Trainable> trainable, ElementType type) {
        super(kernels, config, trainable, type, type, false);
    }

    /**
     * Gradient of the router's weight.
     *
     * @return [routedChoices, hiddenSize], or null where frozen
     */
    public @Nullable Matrix routerWeight() {
        return routerWeightOrNull();
    }

    /**
     * Gradients of the routed experts; parts of a frozen group are not written.
     *
     * @return gradients, or null where both groups of them are frozen
     */
    public @Nullable ExpertWeights experts() {
        return expertsOrNull();
    }

    /** Whether there is a tensor for every parameter of a group that the configuration has. */
    boolean covers(Trainable group) {
        return switch (group) {
            case ROUTER -> routerWeight() != null;
            case EXPERTS_UP, EXPERTS_DOWN -> experts() != null;
            case SHARED -> shared() != null;
            case LATENT -> latentIn() != null;
            case OUTPUT_BIAS -> outputBias() != null;
            case INPUT -> false;
        };
    }

    /** Sets everything to zero. */
    public void zero() {
        clearAll();
    }
}
