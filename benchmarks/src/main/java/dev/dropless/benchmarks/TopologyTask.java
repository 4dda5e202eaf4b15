package dev.dropless.benchmarks;

/**
 * From assignments to rows grouped by expert.
 *
 * @param tokens T
 * @param numExperts E
 * @param topK k
 * @param pattern who goes where
 * @param threads 1 or more
 */
public record TopologyTask(int tokens, int numExperts, int topK, RoutingPattern pattern, int threads) implements Task {

    /**
     * Draws the assignments.
     *
     * @return expert ids [T, k]
     */
    int[] expertIds() {
        return pattern.assign(tokens, numExperts, topK, 1);
    }

    @Override
    public String shape() {
        return "topology-e%d-k%d".formatted(numExperts, topK);
    }

    @Override
    public String routing() {
        return pattern.word();
    }

    @Override
    public String pass() {
        return "build";
    }

    /** Of the expert ids. */
    @Override
    public String dtype() {
        return "i32";
    }

    @Override
    public double usefulFlops() {
        return 0;
    }

    /** Ids in, the permutation and its inverse out. */
    @Override
    public double compulsoryBytes() {
        return 12.0 * tokens * topK;
    }
}
