package dev.dropless.moe.router;

import java.util.Arrays;

/**
 * Drops the choices that exceed an expert's capacity. Choices queue for their expert in a fixed order, and those at
 * positions below the capacity stay. Dropping moves no choice to another slot.
 *
 * @param capacity positions of each expert in evaluation
 * @param trainingCapacity positions of each expert in training
 * @param scope which tokens compete with each other
 * @param order how choices queue
 */
public record CapacityRule(ExpertCapacity capacity, ExpertCapacity trainingCapacity, Scope scope, Order order) {

    /** Which tokens compete. */
    public enum Scope {
        /** Those of one sequence; capacity is computed for S tokens (Switch). */
        SEQUENCE,
        /** All tokens of the batch. */
        BATCH
    }

    /** How choices queue. */
    public enum Order {
        /** By slot, token * k + rank: an earlier token's last choice goes before a later token's first (MegaBlocks). */
        SLOT,
        /**
         * All first choices in token order, then all second choices, and so on (GShard, arXiv 2006.16668, algorithm 1).
         */
        CHOICE,
        /**
         * As {@code CHOICE}, with tokens in descending order of their largest score, ties in token order (batch
         * prioritised routing: Riquelme et al. 2021, arXiv 2106.05974, section 4).
         */
        PRIORITY
    }

    /**
     * A rule with the same capacity in evaluation and in training.
     *
     * @param capacity positions of each expert
     * @param scope which tokens compete with each other
     * @param order how choices queue
     */
    public CapacityRule(ExpertCapacity capacity, Scope scope, Order order) {
        this(capacity, capacity, scope, order);
    }

    /** Copies the choices that stay; -1 for the others. */
    int[] drop(int[] selected, double[] scores, RouterInput input, int topK) {
        var kept = new int[selected.length];
        Arrays.fill(kept, -1);
        int length = scope == Scope.SEQUENCE ? input.sequence() : input.tokens();
        int scopes = scope == Scope.SEQUENCE ? input.batch() : 1;
        int limit = (input.training() ? trainingCapacity : capacity).slots(length, topK, input.numExperts());
        for (int i = 0; i < scopes; i++) {
            var load = new int[input.numExperts()];
            int[] tokens = queue(i * length, length, scores, input.numExperts());
            if (order == Order.SLOT) {
                for (int token : tokens) {
                    for (int j = 0; j < topK; j++) {
                        admit(selected, kept, token * topK + j, load, limit);
                    }
                }
            } else {
                for (int j = 0; j < topK; j++) {
                    for (int token : tokens) {
                        admit(selected, kept, token * topK + j, load, limit);
                    }
                }
            }
        }
        return kept;
    }

    private static void admit(int[] selected, int[] kept, int slot, int[] load, int limit) {
        int id = selected[slot];
        if (id >= 0 && load[id] < limit) {
            kept[slot] = id;
            load[id]++;
        }
    }

    private int[] queue(int first, int length, double[] scores, int numExperts) {
        if (order != Order.PRIORITY) {
            return shifted(Ranking.identity(length), first);
        }
        var importance = new double[length];
        for (int i = 0; i < length; i++) {
            importance[i] = Double.NEGATIVE_INFINITY;
            for (int e = 0; e < numExperts; e++) {
                importance[i] = Math.max(importance[i], scores[(first + i) * numExperts + e]);
            }
        }
        return shifted(Ranking.descending(importance, 0, 1, length), first);
    }

    private static int[] shifted(int[] positions, int first) {
        Arrays.setAll(positions, i -> first + positions[i]);
        return positions;
    }
}
