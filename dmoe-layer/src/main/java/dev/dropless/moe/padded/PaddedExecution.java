package dev.dropless.moe.padded;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ExpertBatch;
import dev.dropless.moe.ExpertExecution;
import dev.dropless.moe.MoeLayer;
import dev.dropless.topology.Topology;

/**
 * Computes experts as a batched matrix product: binned gather into [E, C, H] with zero padding, one dense product of C rows for every expert, binned scatter.
 * Dropped slots contribute nothing, in forward and backward. The weights are exported once from a layer's own into dense matrices; {@link #refresh} does
 * so again after they changed.
 *
 * <p>Backward keeps everything it needs (gathered input, pre-activations, activations, expert outputs) whatever the memory policy says, as MegaBlocks' plain path
 * does. Gather and scatter run on the host, so the back end's memory must be the host's.
 */
public final class PaddedExecution implements ExpertExecution {

    private final Kernels kernels;
    private final ExpertWeights source;
    private final Activation activation;
    private final ElementType activationType;
    private final CapacityPolicy capacity;
    private final DenseExperts weights;

    /**
     * Exports the weights.
     *
     * @param kernels computes the products
     * @param weights the experts; not owned
     * @param activation their activation
     * @param activationType type of pre-activations and activations
     * @param capacity rows of each expert
     * @throws IllegalArgumentException if the back end's memory is not the host's
     */
    public PaddedExecution(
            Kernels kernels,
            ExpertWeights weights,
            Activation activation,
            ElementType activationType,
            CapacityPolicy capacity) {
        if (!kernels.memory().space().isHost()) {
            throw new IllegalArgumentException(
                    "kernels: expected host memory, found " + kernels.memory().space());
        }
        this.kernels = kernels;
        this.source = weights;
        this.activation = activation;
        this.activationType = activationType;
        this.capacity = capacity;
        this.weights = new DenseExperts(kernels, weights.shape(), weights.type());
        refresh();
    }

    /**
     * A padded layer over the parameters of another layer.
     *
     * @param kernels computes; that of {@code layer}
     * @param layer whose configuration and parameters to use; must be closed later
     * @param capacity rows of each expert
     * @return the padded layer; the caller closes it
     */
    public static MoeLayer layerLike(Kernels kernels, MoeLayer layer, CapacityPolicy capacity) {
        PaddedExecution execution = new PaddedExecution(
                kernels,
                layer.parameters().experts(),
                layer.config().activation(),
                layer.parameters().precision().activations(),
                capacity);
        return MoeLayer.over(kernels, layer.config(), layer.parameters(), execution);
    }

    /** Exports the weights again. No batch may be in progress. */
    public void refresh() {
        for (WeightPart part : WeightPart.values()) {
            weights.export(source, part);
        }
    }

    @Override
    public ExpertShape shape() {
        return source.shape();
    }

    @Override
    public ExpertBatch open(Topology topology, Keep keep) {
        return new PaddedBatch(this, new Bins(topology, capacity.capacity(topology)), keep);
    }

    Kernels kernels() {
        return kernels;
    }

    Activation activation() {
        return activation;
    }

    ElementType activationType() {
        return activationType;
    }

    DenseExperts weights() {
        return weights;
    }

    /** Frees the dense copy of the weights. A second call does nothing. */
    @Override
    public void close() {
        weights.close();
    }
}
