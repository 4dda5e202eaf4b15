package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.randomIds;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ExpertParallelTest {

    /** One exchange between ranks in this process; a row is named {rank, slot}. */
    private static List<List<int[]>> exchange(ExpertParallel parallel, List<Topology> ranks) {
        List<List<int[]>> arrived = new ArrayList<>();
        for (int to = 0; to < parallel.worldSize(); to++) {
            List<int[]> rows = new ArrayList<>();
            for (int from = 0; from < parallel.worldSize(); from++) {
                Topology topology = ranks.get(from);
                int first = topology.offset(parallel.firstExpert(to));
                for (int row = first; row < first + parallel.sendCounts(topology)[to]; row++) {
                    rows.add(new int[] {from, topology.slotOfRow(row)});
                }
            }
            arrived.add(rows);
        }
        return arrived;
    }

    /** What rank {@code to} learns in the exchange of counts. */
    private static int[] receivedCounts(ExpertParallel parallel, List<Topology> ranks, int to) {
        int local = parallel.expertsPerRank();
        return ranks.stream()
                .flatMapToInt(t -> Arrays.stream(parallel.countsToSend(t), to * local, (to + 1) * local))
                .toArray();
    }

    @Test
    void everyRowReachesAllOwnersOfItsExpertInTheOrderOfOneRank() {
        Random random = new Random(11);
        int[][] sizes = {{1, 1}, {1, 6}, {2, 4}, {3, 12}, {4, 4}, {4, 2}, {6, 3}, {5, 1}};
        for (int[] size : sizes) {
            for (int i = 0; i < 20; i++) {
                ExpertParallel parallel = new ExpertParallel(size[0], size[1]);
                List<Topology> ranks = new ArrayList<>();
                for (int r = 0; r < size[0]; r++) {
                    ranks.add(Topology.of(randomIds(random, random.nextInt(15), 2, size[1]), 2, size[1]));
                }
                assertExchange(parallel, ranks);
            }
        }
    }

    private static void assertExchange(ExpertParallel parallel, List<Topology> ranks) {
        Topology whole = Topology.concat(ranks);
        int[] firstSlot = new int[ranks.size()];
        for (int r = 1; r < firstSlot.length; r++) {
            firstSlot[r] = firstSlot[r - 1] + ranks.get(r - 1).slots();
        }
        List<List<int[]>> arrived = exchange(parallel, ranks);
        for (int to = 0; to < parallel.worldSize(); to++) {
            int rank = to;
            ExpertParallel.Received received = parallel.receive(receivedCounts(parallel, ranks, to));
            assertArrayEquals(
                    ranks.stream().mapToInt(t -> parallel.sendCounts(t)[rank]).toArray(), received.receiveCounts());
            assertEquals(arrived.get(to).size(), received.topology().rows());
            int first = parallel.firstExpert(to);
            int begin = whole.offset(first);
            int end = whole.offset(first + parallel.expertsPerRank());
            int[] expected = IntStream.range(begin, end).map(whole::slotOfRow).toArray();
            int[] found = Arrays.stream(received.permutation())
                    .map(i -> firstSlot[arrived.get(rank).get(i)[0]]
                            + arrived.get(rank).get(i)[1])
                    .toArray();
            assertArrayEquals(expected, found, "the same rows in the same order as without parallelism");
            int[] bins = Arrays.stream(whole.bins(), first, first + parallel.expertsPerRank())
                    .map(bin -> bin - begin)
                    .toArray();
            assertArrayEquals(bins, received.parallelBins());
        }
    }

    @Test
    void ranksBeyondTheExpertsShareTheHiddenColumns() {
        ExpertParallel parallel = new ExpertParallel(6, 2);
        assertEquals(2, parallel.expertShards());
        assertEquals(3, parallel.hiddenShards());
        assertEquals(1, parallel.expertsPerRank());
        int[] columns = new int[2 * 12]; // how often each intermediate column of each expert is held
        for (int rank = 0; rank < 6; rank++) {
            assertEquals(rank % 2, parallel.firstExpert(rank));
            assertEquals(4, parallel.ffnHiddenSizePerRank(12));
            for (int j = 0; j < 4; j++) {
                columns[parallel.firstExpert(rank) * 12 + parallel.firstFfnColumn(rank, 12) + j]++;
            }
        }
        assertArrayEquals(IntStream.generate(() -> 1).limit(24).toArray(), columns);
        Topology topology = Topology.of(new int[] {0, 1, 1}, 1, 2);
        assertArrayEquals(new int[] {1, 2, 1, 2, 1, 2}, parallel.countsToSend(topology));
        assertArrayEquals(new int[] {1, 2, 1, 2, 1, 2}, parallel.sendCounts(topology));
    }

    @Test
    void rejectsBadInput() {
        assertRejected("worldSize: expected at least 1, found 0", () -> new ExpertParallel(0, 1));
        assertRejected("numExperts: expected at least 1, found 0", () -> new ExpertParallel(1, 0));
        assertRejected("numExperts: expected a multiple of worldSize = 3, found 4", () -> new ExpertParallel(3, 4));
        assertRejected("worldSize: expected a multiple of numExperts = 4, found 6", () -> new ExpertParallel(6, 4));
        ExpertParallel parallel = new ExpertParallel(4, 2);
        assertRejected(
                "ffnHiddenSize: expected a multiple of hiddenShards = 2, found 5",
                () -> parallel.ffnHiddenSizePerRank(5));
        assertRejected("ffnHiddenSize: expected at least 1, found 0", () -> parallel.firstFfnColumn(1, 0));
        assertRejected("topology.numExperts: expected 2, found 1", () -> parallel.sendCounts(Topology.dense(3)));
        assertRejected("topology.numExperts: expected 2, found 1", () -> parallel.countsToSend(Topology.dense(3)));
        assertRejected(
                "receivedCounts.length: expected worldSize * expertsPerRank = 4, found 3",
                () -> parallel.receive(new int[3]));
        assertRejected(
                "receivedCounts[2]: expected at least 0, found -1", () -> parallel.receive(new int[] {1, 0, -1, 0}));
        assertRejected(
                "received rows: expected at most 2147483647 (worldSize = 4), found 3221225472",
                () -> parallel.receive(new int[] {1 << 30, 1 << 30, 1 << 30, 0}));
    }
}
