package dev.dropless.moe;

/** How the routed part r and the shared part s of a layer with a shared expert become one result. */
public enum Combination {
    /** r + s. */
    SUM,
    /** (r + s) / 2 (Cohere 2 MoE, shared expert combination "average"). */
    AVERAGE,
    /** r * k / (k + 1) + s / (k + 1): every active expert counts the same (MegaBlocks, {@code shared_expert_weighted_sum}). */
    WEIGHTED_BY_EXPERTS;

    /**
     * Returns the factor of the routed part.
     *
     * @param topK k
     * @return 1, 1/2 or k/(k+1)
     */
    public double routedFactor(int topK) {
        return switch (this) {
            case SUM -> 1;
            case AVERAGE -> 0.5;
            case WEIGHTED_BY_EXPERTS -> topK / (topK + 1.0);
        };
    }

    /**
     * Returns the factor of the shared part.
     *
     * @param topK k
     * @return 1, 1/2 or 1/(k+1)
     */
    public double sharedFactor(int topK) {
        return switch (this) {
            case SUM -> 1;
            case AVERAGE -> 0.5;
            case WEIGHTED_BY_EXPERTS -> 1 / (topK + 1.0);
        };
    }
}
