package dev.dropless.moe.router;

/** How many slots an expert may compute. */
@FunctionalInterface
public interface ExpertCapacity {

    /**
     * Returns the limit.
     *
     * @param tokens tokens that compete: of one sequence or of the whole batch
     * @param topK choices of each token
     * @param numExperts E
     * @return slots of one expert, 0 or more
     */
    int slots(int tokens, int topK, int numExperts);

    /**
     * The same number for every batch.
     *
     * @param slots limit, 0 or more
     * @return the capacity
     * @throws IllegalArgumentException if the limit is negative
     */
    static ExpertCapacity fixed(int slots) {
        Arguments.atLeast("slots", slots, 0);
        return (tokens, topK, numExperts) -> slots;
    }

    /**
     * floor(factor * k * T / E), and no limit for factor 0 (MegaBlocks {@code moe_capacity_factor}; Switch
     * Transformers, arXiv 2101.03961, equation 3, with k = 1).
     *
     * @param factor capacity factor, 0 or more
     * @return the capacity
     * @throws IllegalArgumentException if the factor is negative or not finite
     */
    static ExpertCapacity factor(double factor) {
        Arguments.notNegative("factor", factor);
        return (tokens, topK, numExperts) ->
                factor == 0 ? Integer.MAX_VALUE : (int) (factor * ((double) topK * tokens / numExperts));
    }

    /**
     * ceil(fraction * T) (NLLB {@code moe_eval_capacity_token_fraction}).
     *
     * @param fraction share of the tokens, 0 or more
     * @return the capacity
     * @throws IllegalArgumentException if the fraction is negative or not finite
     */
    static ExpertCapacity tokenFraction(double fraction) {
        Arguments.notNegative("fraction", fraction);
        return (tokens, topK, numExperts) -> (int) Math.ceil(fraction * tokens);
    }

    /**
     * multiple * ceil(T / E) (NLLB in training, with multiple 2).
     *
     * @param multiple whole factor, 0 or more
     * @return the capacity
     * @throws IllegalArgumentException if the factor is negative
     */
    static ExpertCapacity meanLoad(int multiple) {
        Arguments.atLeast("multiple", multiple, 0);
        return (tokens, topK, numExperts) -> multiple * Math.ceilDiv(tokens, numExperts);
    }
}
