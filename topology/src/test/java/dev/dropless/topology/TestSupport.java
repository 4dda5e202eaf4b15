package dev.dropless.topology;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.function.Executable;

/** Inputs, and slow references that share no code with the library. */
final class TestSupport {

    private TestSupport() {}

    static int[] ints(String numbers) {
        return numbers.isBlank()
                ? new int[0]
                : Arrays.stream(numbers.trim().split("\\s+"))
                        .mapToInt(Integer::parseInt)
                        .toArray();
    }

    /** A random assignment; now and then experts without tokens, slots without expert, or one hot expert. */
    static int[] randomIds(Random random, int tokens, int topK, int numExperts) {
        int used = random.nextInt(3) == 0 ? 1 + random.nextInt(numExperts) : numExperts;
        int first = random.nextInt(numExperts - used + 1);
        double unassigned = random.nextInt(3) == 0 ? 0.3 : 0;
        double hot = random.nextInt(4) == 0 ? 0.8 : 0;
        int[] ids = new int[tokens * topK];
        for (int slot = 0; slot < ids.length; slot++) {
            if (random.nextDouble() < unassigned) {
                ids[slot] = Topology.UNASSIGNED;
            } else {
                ids[slot] = first + (random.nextDouble() < hot ? used / 2 : random.nextInt(used));
            }
        }
        return ids;
    }

    /** k = E: every token goes to every expert, in random order. */
    static int[] permutedIds(Random random, int tokens, int numExperts) {
        int[] ids = new int[tokens * numExperts];
        for (int t = 0; t < tokens; t++) {
            for (int j = 0; j < numExperts; j++) {
                int other = random.nextInt(j + 1);
                ids[t * numExperts + j] = ids[t * numExperts + other];
                ids[t * numExperts + other] = j;
            }
        }
        return ids;
    }

    /** A topology with these loads; tokens in expert order. */
    static Topology withLoads(int... loads) {
        int[] ids = new int[IntStream.of(loads).sum()];
        for (int e = 0, at = 0; e < loads.length; at += loads[e++]) {
            Arrays.fill(ids, at, at + loads[e], e);
        }
        return Topology.of(ids, 1, loads.length);
    }

    /** The assigned slots by a stable comparison sort. */
    static int[] argsort(int[] ids) {
        return IntStream.range(0, ids.length)
                .filter(s -> ids[s] >= 0)
                .boxed()
                .sorted(Comparator.comparingInt(s -> ids[s]))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    static int[] histogram(int[] ids, int bins) {
        int[] counts = new int[bins];
        for (int id : ids) {
            if (id >= 0) {
                counts[id]++;
            }
        }
        return counts;
    }

    static int[] inclusiveSum(int[] values) {
        int[] sums = values.clone();
        for (int i = 1; i < sums.length; i++) {
            sums[i] += sums[i - 1];
        }
        return sums;
    }

    /** The transposed arrays by comparison sort of (column, row), from columns and rows alone. */
    static void assertTransposeIsSorted(BcsrArrays arrays, int blockColumns) {
        Integer[] order =
                IntStream.range(0, arrays.columnIndices().length).boxed().toArray(Integer[]::new);
        Arrays.sort(
                order,
                Comparator.comparingInt((Integer z) -> arrays.columnIndices()[z])
                        .thenComparingInt(z -> arrays.rowIndices()[z]));
        int[] blockOffsetsT = Arrays.stream(order).mapToInt(Integer::intValue).toArray();
        assertArrayEquals(blockOffsetsT, arrays.blockOffsetsT(), "blockOffsetsT");
        int[] columnIndicesT =
                Arrays.stream(order).mapToInt(z -> arrays.rowIndices()[z]).toArray();
        assertArrayEquals(columnIndicesT, arrays.columnIndicesT(), "columnIndicesT");
        int[] rowIndicesT =
                Arrays.stream(order).mapToInt(z -> arrays.columnIndices()[z]).toArray();
        assertArrayEquals(rowIndicesT, arrays.rowIndicesT(), "rowIndicesT");
        int[] offsetsT = new int[blockColumns + 1];
        System.arraycopy(inclusiveSum(histogram(arrays.columnIndices(), blockColumns)), 0, offsetsT, 1, blockColumns);
        assertArrayEquals(offsetsT, arrays.offsetsT(), "offsetsT");
    }

    static void assertRejected(String message, Executable call) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
    }
}
