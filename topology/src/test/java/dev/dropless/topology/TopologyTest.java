package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.argsort;
import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.histogram;
import static dev.dropless.topology.TestSupport.inclusiveSum;
import static dev.dropless.topology.TestSupport.permutedIds;
import static dev.dropless.topology.TestSupport.randomIds;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TopologyTest {

    /** Everything a topology says, against a comparison sort of the ids. */
    private static void assertSorted(int[] ids, int topK, int numExperts, Topology topology) {
        int[] slotOfRow = argsort(ids);
        int[] loads = histogram(ids, numExperts);
        int[] rowOfSlot = new int[ids.length];
        Arrays.fill(rowOfSlot, Topology.UNASSIGNED);
        for (int row = 0; row < slotOfRow.length; row++) {
            rowOfSlot[slotOfRow[row]] = row;
        }
        assertEquals(ids.length / topK, topology.tokens());
        assertEquals(topK, topology.topK());
        assertEquals(numExperts, topology.numExperts());
        assertEquals(ids.length, topology.slots());
        assertEquals(slotOfRow.length, topology.rows());
        assertArrayEquals(slotOfRow, topology.slotOfRow());
        assertArrayEquals(rowOfSlot, topology.rowOfSlot());
        assertArrayEquals(loads, topology.tokensPerExpert());
        assertArrayEquals(inclusiveSum(loads), topology.bins());
        assertEquals(Arrays.stream(loads).max().orElseThrow(), topology.maxTokensPerExpert());
        assertEquals(0, topology.offset(0));
        int[] binIds = topology.binIds();
        for (int row = 0; row < slotOfRow.length; row++) {
            int expert = ids[slotOfRow[row]];
            assertEquals(expert, binIds[row]);
            assertEquals(expert, topology.expertOfRow(row));
            assertEquals(slotOfRow[row], topology.slotOfRow(row));
            assertEquals(slotOfRow[row] / topK, topology.tokenOfRow(row));
            assertEquals(row, topology.rowOfSlot(slotOfRow[row]));
        }
        for (int e = 0; e < numExperts; e++) {
            assertEquals(topology.bins()[e], topology.offset(e + 1));
        }
    }

    @Test
    void agreesWithAComparisonSortOnRandomAssignments() {
        Random random = new Random(1);
        for (int i = 0; i < 400; i++) {
            int topK = 1 + random.nextInt(4);
            int experts = 1 + random.nextInt(i % 5 == 0 ? 1 : 20);
            int[] ids = randomIds(random, i % 7 == 0 ? 0 : random.nextInt(60), topK, experts);
            assertSorted(ids, topK, experts, Topology.of(ids, topK, experts));
        }
    }

    @Test
    void agreesWithAComparisonSortWhenEveryTokenGoesToEveryExpert() {
        Random random = new Random(2);
        for (int experts = 1; experts <= 9; experts++) {
            int[] ids = permutedIds(random, 17, experts);
            Topology topology = Topology.of(ids, experts, experts);
            assertSorted(ids, experts, experts, topology);
            assertEquals(17, topology.maxTokensPerExpert());
        }
    }

    @Test
    void noTokensAndNoAssignedSlotsAreOrdinaryInputs() {
        assertSorted(new int[0], 3, 5, Topology.of(new int[0], 3, 5));
        int[] none = {-1, -1, -1, -1};
        assertSorted(none, 2, 3, Topology.of(none, 2, 3));
    }

    @Test
    void isTheSameForAnyNumberOfChunksAndThreads() {
        Random random = new Random(3);
        for (int i = 0; i < 60; i++) {
            int topK = 1 + random.nextInt(3);
            int experts = 1 + random.nextInt(12);
            int[] ids = randomIds(random, random.nextInt(50), topK, experts);
            Topology sequential = Topology.of(ids, topK, experts);
            TopologyBuilder threaded = new TopologyBuilder(experts, topK, new ThreadedTaskRunner(3));
            for (int chunks : new int[] {1, 2, 3, 7, 64}) {
                assertEquals(sequential, threaded.build(ids, chunks), chunks + " chunks");
            }
        }
    }

    @Test
    void aLargeBuildUsesItsThreadsAndIsTheSame() {
        int[] ids = randomIds(new Random(4), 50_000, 2, 64);
        Topology sequential = Topology.of(ids, 2, 64);
        int[] tasksSeen = {0};
        TaskRunner runner = new TaskRunner() {
            private final TaskRunner threads = new ThreadedTaskRunner(4);

            @Override
            public int parallelism() {
                return threads.parallelism();
            }

            @Override
            public void run(int tasks, java.util.function.IntConsumer task) {
                tasksSeen[0] = tasks;
                threads.run(tasks, task);
            }
        };
        assertEquals(sequential, new TopologyBuilder(64, 2, runner).build(ids));
        assertEquals(4, tasksSeen[0]);
        new TopologyBuilder(64, 2, runner).build(new int[2 * 17_000]);
        assertEquals(2, tasksSeen[0], "34 000 slots are two chunks of at least 16 Ki");
        new TopologyBuilder(100_000, 2, runner).build(ids);
        assertEquals(1, tasksSeen[0], "a chunk is no shorter than the list of experts");
    }

    @Test
    void denseIsTheTopologyOfOneExpert() {
        assertEquals(Topology.of(new int[7], 1, 1), Topology.dense(7));
        assertEquals(Topology.of(new int[0], 1, 1), Topology.dense(0));
    }

    @Test
    void arraysAreCopies() {
        Topology topology = Topology.of(new int[] {1, 0}, 1, 2);
        topology.slotOfRow()[0] = 9;
        topology.rowOfSlot()[0] = 9;
        topology.bins()[0] = 9;
        assertEquals(Topology.of(new int[] {1, 0}, 1, 2), topology);
    }

    @Test
    void equalityIsThatOfTheAssignment() {
        Topology topology = Topology.of(new int[] {1, 0, 1, 1}, 2, 2);
        assertEquals(
                topology.hashCode(), Topology.of(new int[] {1, 0, 1, 1}, 2, 2).hashCode());
        assertNotEquals(topology, Topology.of(new int[] {1, 0, 1, 1}, 2, 3), "another number of experts");
        assertNotEquals(topology, Topology.of(new int[] {1, 0, 1, 1}, 1, 2), "another topK");
        assertNotEquals(topology, Topology.of(new int[] {0, 1, 1, 1}, 2, 2), "another assignment");
        assertEquals("Topology[tokens=2, topK=2, numExperts=2, rows=4, max load=3]", topology.toString());
    }

    @Test
    void relabellingTheExpertsMovesTheirRowsAndNothingElse() {
        Random random = new Random(5);
        for (int i = 0; i < 50; i++) {
            int experts = 1 + random.nextInt(10);
            int[] ids = randomIds(random, 40, 2, experts);
            List<Integer> labels = new ArrayList<>();
            for (int e = 0; e < experts; e++) {
                labels.add(e);
            }
            Collections.shuffle(labels, random);
            int[] relabelled =
                    Arrays.stream(ids).map(e -> e < 0 ? e : labels.get(e)).toArray();
            Topology before = Topology.of(ids, 2, experts);
            Topology after = Topology.of(relabelled, 2, experts);
            for (int e = 0; e < experts; e++) {
                int renamed = labels.get(e);
                assertEquals(before.tokensPerExpert(e), after.tokensPerExpert(renamed));
                for (int j = 0; j < before.tokensPerExpert(e); j++) {
                    assertEquals(before.slotOfRow(before.offset(e) + j), after.slotOfRow(after.offset(renamed) + j));
                }
            }
        }
    }

    @Test
    void concatenationEqualsBuildingAtOnce() {
        Random random = new Random(6);
        for (int i = 0; i < 100; i++) {
            int topK = 1 + random.nextInt(3);
            int experts = 1 + random.nextInt(8);
            List<Topology> parts = new ArrayList<>();
            int[] all = new int[0];
            for (int rank = 0; rank <= i % 5; rank++) {
                int[] ids = randomIds(random, random.nextInt(12), topK, experts);
                parts.add(Topology.of(ids, topK, experts));
                int end = all.length;
                all = Arrays.copyOf(all, end + ids.length);
                System.arraycopy(ids, 0, all, end, ids.length);
            }
            Topology joined = Topology.concat(parts);
            assertSorted(all, topK, experts, joined);
            assertEquals(Topology.of(all, topK, experts), joined);
        }
    }

    @Test
    void rejectsBadInput() {
        assertRejected("numExperts: expected at least 1, found 0", () -> Topology.of(new int[0], 1, 0));
        assertRejected("topK: expected at least 1, found -2", () -> Topology.of(new int[0], -2, 1));
        assertRejected(
                "expertIds.length: expected a multiple of topK = 2, found 3", () -> Topology.of(new int[3], 2, 1));
        assertRejected(
                "expertIds[1]: expected 0..3, or -1 for an unassigned slot, found 4",
                () -> Topology.of(new int[] {0, 4}, 1, 4));
        assertRejected(
                "expertIds[0]: expected 0..3, or -1 for an unassigned slot, found -2",
                () -> Topology.of(new int[] {-2, 4}, 1, 4));
        assertRejected("tokens: expected at least 0, found -1", () -> Topology.dense(-1));
        Topology topology = Topology.dense(3);
        assertThrows(IndexOutOfBoundsException.class, () -> topology.expertOfRow(3));
        assertThrows(IndexOutOfBoundsException.class, () -> topology.expertOfRow(-1));
    }

    @Test
    void namesTheFirstBadSlotAlsoWhenChunksRunInReverse() {
        int[] ids = new int[100];
        ids[31] = 7;
        ids[90] = -5;
        ids[32] = 9;
        for (int chunks : new int[] {1, 2, 5, 100}) {
            assertRejected(
                    "expertIds[31]: expected 0..2, or -1 for an unassigned slot, found 7",
                    () -> new TopologyBuilder(3, 1, new ThreadedTaskRunner(2)).build(ids, chunks));
        }
    }

    @Test
    void rejectsTopologiesThatDoNotFitTogether() {
        Topology two = Topology.of(new int[] {0, 1}, 1, 2);
        assertRejected("topologies: expected at least 1 topology, found 0", () -> Topology.concat(List.of()));
        assertRejected(
                "topologies[1].numExperts: expected 2, found 1",
                () -> Topology.concat(List.of(two, Topology.dense(2))));
        assertRejected(
                "topologies[2].topK: expected 1, found 2",
                () -> Topology.concat(List.of(two, two, Topology.of(new int[] {0, 1}, 2, 2))));
        Topology million = Topology.of(new int[1 << 20], 1, 1);
        assertRejected(
                "slots: expected at most 2147483647 (2048 topologies together), found 2147483648",
                () -> Topology.concat(Collections.nCopies(1 << 11, million)));
    }
}
