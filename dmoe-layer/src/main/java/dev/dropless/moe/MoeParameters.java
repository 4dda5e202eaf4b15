package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The parameters of a layer: its only state. Created zero; fill them from a checkpoint or with {@link MoeInitializer}.
 *
 * <p>Several threads may compute with the same parameters as long as none writes them.
 */
public final class MoeParameters extends LayerTensors {

    private final Precision precision;
    private final @Nullable Matrix selectionBias;

    /**
     * Allocates parameters, all zero.
     *
     * @param kernels whose memory and layout to use
     * @param config what to allocate
     * @param precision in which types
     * @throws IllegalArgumentException if the back end cannot store a type, or has no layout for {@link Precision#int8Experts}
     */
    public MoeParameters(Kernels kernels, MoeConfig config, Precision precision) {
        super(kernels, config, Trainable.all(), precision.experts(), precision.router(), precision.int8Experts());
        this.precision = precision;
        this.selectionBias = config.selectionBias() ? zeros(precision.router(), 1, config.routedChoices()) : null;
    }

    /**
     * Returns the types these parameters are stored in.
     *
     * @return the precision
     */
    public Precision precision() {
        return precision;
    }

    /**
     * The router's weight.
     *
     * @return [routedChoices, hiddenSize]
     */
    public Matrix routerWeight() {
        return Objects.requireNonNull(routerWeightOrNull());
    }

    /**
     * The routed experts.
     *
     * @return their weights
     */
    public ExpertWeights experts() {
        return Objects.requireNonNull(expertsOrNull());
    }

    /**
     * What the router adds to scores for selection alone; changed by the bias update of auxiliary-loss-free balancing, never by a gradient.
     *
     * @return [1, routedChoices], or null where the configuration has none
     */
    public @Nullable Matrix selectionBias() {
        return selectionBias;
    }
}
