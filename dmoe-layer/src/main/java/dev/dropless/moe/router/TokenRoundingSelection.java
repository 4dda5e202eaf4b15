package dev.dropless.moe.router;

/**
 * Token choice whose loads are moved to multiples of a tile, by less than one tile per expert, so that no tile computes
 * padding (SonicMoE, arXiv 2512.14080). Every token first chooses its {@code baseTopK} best experts. An expert that
 * rounds up takes the best further tokens that have a slot left; one that rounds down, or finds too few tokens, gives
 * up its worst. The router's k is the largest number of experts a token may end up with.
 *
 * @param base how tokens choose
 * @param baseTopK choices of each token before rounding, at most the router's k
 * @param tile rows of a tile, 1 or more
 * @param rounding direction
 */
public record TokenRoundingSelection(TopKSelection base, int baseTopK, int tile, Rounding rounding)
        implements Selection {

    /** Direction of rounding; a load that is a multiple already stays. */
    public enum Rounding {
        /** To the nearer multiple, half a tile up. */
        NEAREST,
        /** To the next larger multiple. */
        UP,
        /** To the next smaller multiple. */
        DOWN;

        private int target(int load, int tile) {
            int below = load / tile * tile;
            boolean up = this == UP || (this == NEAREST && 2L * (load - below) >= tile);
            return load > below && up ? below + tile : below;
        }
    }

    /**
     * Checks the counts.
     *
     * @throws IllegalArgumentException if a count is below 1
     */
    public TokenRoundingSelection {
        Arguments.atLeast("baseTopK", baseTopK, 1);
        Arguments.atLeast("tile", tile, 1);
    }

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        int k = candidates.topK();
        if (baseTopK > k) {
            throw Arguments.mismatch("baseTopK", "at most topK = " + k, baseTopK);
        }
        int tokens = candidates.input().tokens();
        int experts = candidates.input().numExperts();
        double[] values = base.values(candidates);
        var chosen = new boolean[values.length];
        var used = new int[tokens];
        int[] loads = chooseByToken(candidates, chosen, used);
        for (int expert = 0; expert < experts; expert++) {
            int[] order = Ranking.descending(values, expert, experts, tokens);
            int target = rounding.target(loads[expert], tile);
            if (target > loads[expert] && free(order, chosen, used, expert, experts, k) < target - loads[expert]) {
                target -= tile;
            }
            move(order, chosen, used, expert, experts, k, target - loads[expert]);
        }
        Ranking.fillSlots(chosen, values, tokens, experts, k, expertIds);
    }

    private int[] chooseByToken(Candidates candidates, boolean[] chosen, int[] used) {
        int experts = candidates.input().numExperts();
        var ids = new int[used.length * baseTopK];
        base.select(new Candidates(candidates.input(), baseTopK, candidates.gateLogits(), candidates.scores()), ids);
        var loads = new int[experts];
        for (int slot = 0; slot < ids.length; slot++) {
            int token = slot / baseTopK;
            chosen[token * experts + ids[slot]] = true;
            used[token]++;
            loads[ids[slot]]++;
        }
        return loads;
    }

    private static int free(int[] order, boolean[] chosen, int[] used, int expert, int experts, int k) {
        int free = 0;
        for (int token : order) {
            if (!chosen[token * experts + expert] && used[token] < k) {
                free++;
            }
        }
        return free;
    }

    /** Adds the best free tokens (change above 0) or removes the worst chosen ones (below 0). */
    private static void move(int[] order, boolean[] chosen, int[] used, int expert, int experts, int k, int change) {
        int left = Math.abs(change);
        for (int i = 0; i < order.length && left > 0; i++) {
            int token = change > 0 ? order[i] : order[order.length - 1 - i];
            int cell = token * experts + expert;
            if (change > 0 && !chosen[cell] && used[token] < k) {
                chosen[cell] = true;
                used[token]++;
                left--;
            } else if (change < 0 && chosen[cell]) {
                chosen[cell] = false;
                used[token]--;
                left--;
            }
        }
    }
}
