package dev.dropless.moe.router;

/**
 * Slot s goes to expert s mod E, for benchmarks with a perfectly even load (MegaBlocks {@code
 * uniform_expert_assignment}). Weights come from the scores of these experts; MegaBlocks keeps the weights of the
 * experts that were best.
 */
public record UniformSelection() implements Selection {

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        int experts = candidates.input().numExperts();
        for (int slot = 0; slot < expertIds.length; slot++) {
            expertIds[slot] = slot % experts;
        }
    }
}
