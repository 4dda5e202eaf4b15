package dev.dropless.moe.router;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The k best experts of each token, ties to the lower id.
 *
 * @param by what is compared
 * @param groups limits the choice to the best groups of experts, or null for none
 */
public record TopKSelection(By by, @Nullable GroupLimit groups) implements Selection {

    /** What the experts of a token are compared by. */
    public enum By {
        /** The scores. */
        SCORE,
        /** The gate logits. */
        LOGITS,
        /** Score plus the input's selection bias, which has no part in the weights (arXiv 2408.15664). */
        SCORE_PLUS_BIAS
    }

    /** What the groups of experts of a token are compared by. */
    public enum GroupScore {
        /** The best expert (DeepSeek-V2, arXiv 2405.04434, section 2.2.2). */
        MAX,
        /** The sum of the two best experts (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). */
        TOP2_SUM
    }

    /**
     * Experts form equal consecutive groups (the experts of one device or node); only those of the best groups of a
     * token may be chosen, as if the others scored minus infinity.
     *
     * @param numGroups number of groups, divides E
     * @param topGroups how many groups stay
     * @param score what groups are compared by; ties to the lower group
     */
    public record GroupLimit(int numGroups, int topGroups, GroupScore score) {

        /**
         * Checks the counts.
         *
         * @throws IllegalArgumentException if counts are below 1 or more groups stay than there are
         */
        public GroupLimit {
            Arguments.atLeast("numGroups", numGroups, 1);
            Arguments.atLeast("topGroups", topGroups, 1);
            if (topGroups > numGroups) {
                throw Arguments.mismatch("topGroups", "at most numGroups = " + numGroups, topGroups);
            }
        }

        void check(int numExperts, int topK) {
            if (numExperts % numGroups != 0) {
                throw Arguments.mismatch("numGroups", "a divisor of numExperts = " + numExperts, numGroups);
            }
            int size = numExperts / numGroups;
            if (score == GroupScore.TOP2_SUM && size < 2) {
                throw Arguments.mismatch("numGroups", "groups of 2 experts or more for " + score, size);
            }
            if (topK > topGroups * size) {
                throw Arguments.mismatch("topK", "at most topGroups x group size = " + topGroups * size, topK);
            }
        }
    }

    /** The k best scores. */
    public static final TopKSelection BY_SCORE = new TopKSelection(By.SCORE, null);

    /** The k best gate logits. */
    public static final TopKSelection BY_LOGITS = new TopKSelection(By.LOGITS, null);

    /** The k best of score plus selection bias. */
    public static final TopKSelection BY_SCORE_PLUS_BIAS = new TopKSelection(By.SCORE_PLUS_BIAS, null);

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        int experts = candidates.input().numExperts();
        int k = candidates.topK();
        double[] values = unbiased(candidates);
        double[] bias = bias(candidates);
        var biased = new double[bias == null ? 0 : experts];
        var within = groups == null ? null : new WithinGroups(groups, experts, k);
        for (int token = 0; token < candidates.input().tokens(); token++) {
            double[] row = values;
            int offset = token * experts;
            if (bias != null) {
                row = biased;
                System.arraycopy(values, offset, row, 0, experts);
                offset = 0;
                add(bias, row);
            }
            if (within == null) {
                best(row, offset, experts, expertIds, token * k, k);
            } else {
                within.best(row, offset, expertIds, token * k);
            }
        }
    }

    /** What experts are compared by, [T, E]. */
    double[] values(Candidates candidates) {
        double[] values = unbiased(candidates);
        double[] bias = bias(candidates);
        if (bias != null) {
            values = values.clone();
            add(bias, values);
        }
        return values;
    }

    private double[] unbiased(Candidates candidates) {
        return by == By.LOGITS ? candidates.gateLogits() : candidates.scores();
    }

    private double @Nullable [] bias(Candidates candidates) {
        double[] bias = candidates.input().selectionBias();
        if (by == By.SCORE_PLUS_BIAS && bias == null) {
            throw Arguments.mismatch("selectionBias", "numExperts values for selection by bias", "none");
        }
        return by == By.SCORE_PLUS_BIAS ? bias : null;
    }

    private static void add(double[] bias, double[] rows) {
        for (int i = 0; i < rows.length; i++) {
            rows[i] += bias[i % bias.length];
        }
    }

    /** Chooses among the experts of the best groups, one token after the other. */
    private static final class WithinGroups {
        private final GroupLimit limit;
        private final int size;
        private final double[] groupScores;
        private final int[] kept;
        private final int[] ids;
        private final double[] compact;
        private final int[] ranks;

        WithinGroups(GroupLimit limit, int experts, int k) {
            limit.check(experts, k);
            this.limit = limit;
            this.size = experts / limit.numGroups;
            this.groupScores = new double[limit.numGroups];
            this.kept = new int[limit.topGroups];
            this.ids = new int[limit.topGroups * size];
            this.compact = new double[ids.length];
            this.ranks = new int[k];
        }

        void best(double[] values, int row, int[] expertIds, int slot) {
            for (int group = 0; group < limit.numGroups; group++) {
                groupScores[group] = groupScore(values, row + group * size, size, limit.score);
            }
            TopKSelection.best(groupScores, 0, limit.numGroups, kept, 0, limit.topGroups);
            Arrays.sort(kept);
            for (int i = 0; i < ids.length; i++) {
                ids[i] = kept[i / size] * size + i % size;
                compact[i] = values[row + ids[i]];
            }
            TopKSelection.best(compact, 0, ids.length, ranks, 0, ranks.length);
            for (int j = 0; j < ranks.length; j++) {
                expertIds[slot + j] = ids[ranks[j]];
            }
        }
    }

    private static double groupScore(double[] values, int offset, int size, GroupScore score) {
        double first = Double.NEGATIVE_INFINITY;
        double second = Double.NEGATIVE_INFINITY;
        for (int i = offset; i < offset + size; i++) {
            if (values[i] > first) {
                second = first;
                first = values[i];
            } else if (values[i] > second) {
                second = values[i];
            }
        }
        return score == GroupScore.MAX ? first : first + second;
    }

    /**
     * Writes the positions of the k largest values, largest first, ties to the lower position, NaN below every number.
     */
    static void best(double[] values, int offset, int count, int[] ids, int idOffset, int k) {
        int filled = 0;
        for (int candidate = 0; candidate < count; candidate++) {
            double value = values[offset + candidate];
            int place = filled;
            while (place > 0 && better(value, values[offset + ids[idOffset + place - 1]])) {
                place--;
            }
            if (place == k) {
                continue;
            }
            int last = Math.min(filled, k - 1);
            System.arraycopy(ids, idOffset + place, ids, idOffset + place + 1, last - place);
            ids[idOffset + place] = candidate;
            filled = Math.min(filled + 1, k);
        }
    }

    static boolean better(double value, double other) {
        return value > other || (Double.isNaN(other) && !Double.isNaN(value));
    }
}
