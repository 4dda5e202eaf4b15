package dev.dropless.moe.family;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.moe.MoeConfig;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One matrix among a layer's parameters.
 *
 * @param group which group
 * @param part which part of an expert, null outside of {@link Group#EXPERTS} and {@link Group#SHARED}
 * @param expert which expert, 0 outside of {@link Group#EXPERTS}
 */
public record Parameter(Group group, @Nullable WeightPart part, int expert) {

    /** The groups of a layer's parameters, and the shape of the matrices in them. */
    public enum Group {
        /** Router weight [choices, H]. */
        ROUTER,
        /** Router bias [1, choices]. */
        ROUTER_BIAS,
        /** What selection adds to the scores [1, choices]. */
        SELECTION_BIAS,
        /** Routed experts, in the orientation y = x W. */
        EXPERTS,
        /** Shared expert, in the orientation y = x W. */
        SHARED,
        /** Gate of the shared expert [1, H]. */
        SHARED_GATE,
        /** Projection into the latent space [latent, H]. */
        LATENT_IN,
        /** Projection out of the latent space [H, latent]. */
        LATENT_OUT,
        /** Bias of the layer's output [1, H]. */
        OUTPUT_BIAS
    }

    /**
     * A matrix that is no expert's.
     *
     * @param group its group
     * @return the parameter
     */
    public static Parameter of(Group group) {
        return new Parameter(group, null, 0);
    }

    /**
     * Returns the number of rows in a layer.
     *
     * @param config the layer
     * @return rows
     */
    public int rows(MoeConfig config) {
        return switch (group) {
            case ROUTER -> config.routedChoices();
            case EXPERTS, SHARED -> shape(config).rows(Objects.requireNonNull(part));
            case LATENT_IN -> config.latentSize();
            case LATENT_OUT -> config.hiddenSize();
            case ROUTER_BIAS, SELECTION_BIAS, SHARED_GATE, OUTPUT_BIAS -> 1;
        };
    }

    /**
     * Returns the number of columns in a layer.
     *
     * @param config the layer
     * @return columns
     */
    public int columns(MoeConfig config) {
        return switch (group) {
            case ROUTER, SHARED_GATE, LATENT_IN, OUTPUT_BIAS -> config.hiddenSize();
            case ROUTER_BIAS, SELECTION_BIAS -> config.routedChoices();
            case EXPERTS, SHARED -> shape(config).columns(Objects.requireNonNull(part));
            case LATENT_OUT -> config.latentSize();
        };
    }

    private ExpertShape shape(MoeConfig config) {
        return shape(config, group);
    }

    static ExpertShape shape(MoeConfig config, Group group) {
        return group == Group.SHARED
                ? Objects.requireNonNull(config.shared(), "shared").shape()
                : config.experts();
    }
}
