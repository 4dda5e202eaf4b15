package dev.dropless.blocksparse.spi;

import org.jspecify.annotations.Nullable;

/**
 * How a router decides, as far as a device may be asked to: with z a token's logits,
 * <pre>
 *   g = z + bias, or softCap tanh((z + bias) / softCap) where softCap is above 0
 *   s = score(g)
 *   v = s, g, or s + selection bias                         what experts are compared by
 *   ids = the k largest v, ties to the lower id, NaN below every number, among the best groups of experts
 *   w_j = scale r_j / d; r from source, d = max(norm(r) + epsilon, floor), or 1
 * </pre>
 *
 * @param choices number of experts the router chooses from: columns of the logits
 * @param numExperts how many of them, the first, have weights; the rest are identity experts, whose slots have no row
 * @param topK k, slots of each token
 * @param softCap limit of the gate logits' magnitude, or 0
 * @param score from gate logits to scores
 * @param by what experts are compared by
 * @param groups limits the choice to the best groups of experts, or null
 * @param source what the weights are made of
 * @param divisor what they are divided by, or null
 * @param scale factor of every weight
 */
public record RoutingRule(
        int choices,
        int numExperts,
        int topK,
        double softCap,
        Score score,
        By by,
        @Nullable Groups groups,
        Source source,
        @Nullable Divisor divisor,
        double scale) {

    /** From the gate logits of a token to its scores. */
    public enum Score {
        /** exp(g) over the sum of exp(g). */
        SOFTMAX,
        /** 1 / (1 + exp(-g)). */
        SIGMOID,
        /** The square root of ln(1 + exp(g)). */
        SQRT_SOFTPLUS
    }

    /** What the experts of a token are compared by. */
    public enum By {
        /** The scores. */
        SCORE,
        /** The gate logits. */
        LOGITS,
        /** Score plus selection bias. */
        SCORE_PLUS_BIAS
    }

    /** What the weights are made of. */
    public enum Source {
        /** The scores of the selected experts. */
        SCORE,
        /** Softmax over the selected gate logits. */
        SOFTMAX_OF_SELECTED,
        /** Sigmoid of the selected gate logits. */
        SIGMOID_OF_SELECTED,
        /** 1 / k. */
        EVEN
    }

    /**
     * Equal consecutive groups of experts, of which the best stay.
     *
     * @param count number of groups, a divisor of {@code choices}
     * @param stay how many stay
     * @param sumOfTwo whether groups are compared by the sum of their two best values, else by the best
     */
    public record Groups(int count, int stay, boolean sumOfTwo) {}

    /**
     * A divisor max(norm + epsilon, floor); where the floor decides it is a constant for the gradient.
     *
     * @param p order of the norm, 1 or more
     * @param epsilon added to the norm
     * @param floor smallest divisor
     */
    public record Divisor(double p, double epsilon, double floor) {}
}
