package dev.dropless.moe.router;

import java.util.Arrays;
import java.util.Comparator;

/** Stable orders of many values. */
final class Ranking {

    private Ranking() {}

    /**
     * Positions 0..count-1 of values[offset + i * stride], largest value first, ties to the lower position, NaN last.
     */
    static int[] descending(double[] values, int offset, int stride, int count) {
        // Double.compare puts NaN last among ascending keys
        return Arrays.stream(identity(count))
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -values[offset + i * stride]))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    static int[] identity(int count) {
        var positions = new int[count];
        Arrays.setAll(positions, i -> i);
        return positions;
    }

    /**
     * Turns a table of choices into slots, the experts of a token in descending order of their value.
     *
     * @param chosen [T, E]
     * @param values [T, E]
     * @param expertIds [T * k], -1 on entry
     */
    static void fillSlots(boolean[] chosen, double[] values, int tokens, int numExperts, int topK, int[] expertIds) {
        var ids = new int[numExperts];
        var compact = new double[numExperts];
        var ranks = new int[topK];
        for (int token = 0; token < tokens; token++) {
            int count = 0;
            for (int expert = 0; expert < numExperts; expert++) {
                if (chosen[token * numExperts + expert]) {
                    compact[count] = values[token * numExperts + expert];
                    ids[count++] = expert;
                }
            }
            TopKSelection.best(compact, 0, count, ranks, 0, topK);
            for (int j = 0; j < Math.min(count, topK); j++) {
                expertIds[token * topK + j] = ids[ranks[j]];
            }
        }
    }
}
