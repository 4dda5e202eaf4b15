package dev.dropless.moe.router;

import java.util.Arrays;

/** Stable orders of many values. */
final class Ranking {

    private Ranking() {}

    /**
     * Positions 0..count-1 of values[offset + i * stride], largest value first, ties to the lower position, NaN last.
     */
    static int[] descending(double[] values, int offset, int stride, int count) {
        int[] sorted = identity(count);
        int[] merged = new int[count];
        for (int width = 1; width < count; width *= 2) {
            for (int from = 0; from < count; from += 2 * width) {
                int middle = Math.min(from + width, count);
                merge(values, offset, stride, sorted, from, middle, Math.min(middle + width, count), merged);
            }
            int[] other = sorted;
            sorted = merged;
            merged = other;
        }
        return sorted;
    }

    /** Merges two ordered runs of positions, the left one first where values are equal. */
    private static void merge(
            double[] values, int offset, int stride, int[] source, int from, int middle, int end, int[] target) {
        int left = from;
        int right = middle;
        for (int i = from; i < end; i++) {
            // Double.compare puts NaN last among ascending keys
            boolean takesRight = left == middle
                    || right < end
                            && Double.compare(
                                            -values[offset + source[right] * stride],
                                            -values[offset + source[left] * stride])
                                    < 0;
            target[i] = takesRight ? source[right++] : source[left++];
        }
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
