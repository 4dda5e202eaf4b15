package dev.dropless.moe.router;

/** Chooses the experts of every token. Implementations are immutable and safe for use by several threads. */
@FunctionalInterface
public interface Selection {

    /**
     * What a selection may look at.
     *
     * @param input logits as they came, biases, token ids
     * @param topK k, slots of each token
     * @param gateLogits [T, E], after capping and noise
     * @param scores [T, E]
     */
    @SuppressWarnings("ArrayRecordComponent") // a view of arrays that live elsewhere; never compared
    record Candidates(RouterInput input, int topK, double[] gateLogits, double[] scores) {}

    /**
     * Fills in the expert ids, best first within a token, no expert twice.
     *
     * @param candidates scores and what made them
     * @param expertIds [T * k], all -1 on entry; stays -1 where a token has no more choices
     * @throws IllegalArgumentException if the input lacks something, or k does not fit
     */
    void select(Candidates candidates, int[] expertIds);
}
