package dev.dropless.moe.router;

/**
 * Experts choose tokens: each takes the floor(c * T / E) tokens, at most T, that score highest for it, ties to the
 * earlier token (Zhou et al. 2022, arXiv 2202.09368, section 3.2). A token gets anything from no expert to all of them,
 * so the router has k = E slots; unused ones are -1.
 *
 * <p>Not for causal decoders: whether a token is chosen depends on the tokens after it, so what is trained cannot be
 * computed when text is generated token by token.
 *
 * @param capacityFactor c, the mean number of experts of a token
 */
public record ExpertChoiceSelection(double capacityFactor) implements Selection {

    /**
     * Checks the factor.
     *
     * @throws IllegalArgumentException if the factor is not a finite number above 0
     */
    public ExpertChoiceSelection {
        Arguments.positive("capacityFactor", capacityFactor);
    }

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        int tokens = candidates.input().tokens();
        int experts = candidates.input().numExperts();
        if (candidates.topK() != experts) {
            throw Arguments.mismatch("topK", "numExperts = " + experts + " for expert choice", candidates.topK());
        }
        int taken = (int) Math.min(tokens, capacityFactor * tokens / experts);
        double[] scores = candidates.scores();
        var chosen = new boolean[scores.length];
        for (int expert = 0; expert < experts; expert++) {
            int[] best = Ranking.descending(scores, expert, experts, tokens);
            for (int i = 0; i < taken; i++) {
                chosen[best[i] * experts + expert] = true;
            }
        }
        Ranking.fillSlots(chosen, scores, tokens, experts, experts, expertIds);
    }
}
