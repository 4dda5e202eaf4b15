package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.ints;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Small examples worked out by hand, every array in full. */
class GoldenExamplesTest {

    private static void assertArrays(
            BlockPattern pattern,
            String offsets,
            String columns,
            String rows,
            String offsetsT,
            String columnsT,
            String rowsT,
            String blockOffsetsT) {
        BcsrArrays arrays = pattern.arrays();
        assertArrayEquals(ints(offsets), arrays.offsets());
        assertArrayEquals(ints(columns), arrays.columnIndices());
        assertArrayEquals(ints(rows), arrays.rowIndices());
        assertArrayEquals(ints(offsetsT), arrays.offsetsT());
        assertArrayEquals(ints(columnsT), arrays.columnIndicesT());
        assertArrayEquals(ints(rowsT), arrays.rowIndicesT());
        assertArrayEquals(ints(blockOffsetsT), arrays.blockOffsetsT());
    }

    @Test
    void threeExpertsTopTwo() {
        Topology topology = Topology.of(ints("0 2 2 1 0 2 2 0 0 2 1 0"), 2, 3);
        assertArrayEquals(ints("0 4 7 8 11 3 10 1 2 5 6 9"), topology.slotOfRow());
        assertArrayEquals(ints("0 0 0 0 0 1 1 2 2 2 2 2"), topology.binIds());
        assertArrayEquals(ints("5 2 5"), topology.tokensPerExpert());
        assertArrayEquals(ints("5 7 12"), topology.bins());
        int[] tokens = IntStream.range(0, 12).map(topology::tokenOfRow).toArray();
        assertArrayEquals(ints("0 2 3 4 5 1 5 0 1 2 3 4"), tokens);

        PaddedRows padded = PaddedRows.of(topology, 4);
        assertArrayEquals(ints("8 4 8"), padded.paddedTokensPerExpert());
        assertArrayEquals(ints("8 12 20"), padded.paddedBins());
        assertArrayEquals(ints("0 1 2 3 4 8 9 12 13 14 15 16"), padded.paddedRowOfRow());

        MoeBlockPattern pattern = MoeBlockPattern.padded(topology, 4, 8);
        assertEquals(20, pattern.rows());
        assertEquals(24, pattern.columns());
        assertEquals(5, pattern.blockRows());
        assertEquals(10, pattern.blocks());
        assertTrue(pattern.uniform());
        assertArrays(
                pattern,
                "0 2 4 6 8 10",
                "0 1 0 1 2 3 4 5 4 5",
                "0 0 1 1 2 2 3 3 4 4",
                "0 2 4 5 6 8 10",
                "0 1 0 1 2 2 3 4 3 4",
                "0 0 1 1 2 3 4 4 5 5",
                "0 2 1 3 4 5 6 8 7 9");
    }

    @Test
    void emptyExperts() {
        Topology topology = Topology.of(ints("2 0 2 2 0"), 1, 4);
        assertArrayEquals(ints("1 4 0 2 3"), topology.slotOfRow());
        assertArrayEquals(ints("0 0 2 2 2"), topology.binIds());
        assertArrayEquals(ints("2 0 3 0"), topology.tokensPerExpert());
        assertArrayEquals(ints("2 2 5 5"), topology.bins());

        PaddedRows padded = PaddedRows.of(topology, 2);
        assertArrayEquals(ints("2 0 4 0"), padded.paddedTokensPerExpert());
        assertArrayEquals(ints("2 2 6 6"), padded.paddedBins());
        assertArrayEquals(ints("0 1 2 3 4"), padded.paddedRowOfRow());
        assertArrayEquals(ints("1 4 0 2 3 -1"), padded.slotSource());

        MoeBlockPattern pattern = MoeBlockPattern.padded(topology, 2, 4);
        assertEquals(6, pattern.rows());
        assertEquals(16, pattern.columns());
        assertArrays(
                pattern,
                "0 2 4 6",
                "0 1 4 5 4 5",
                "0 0 1 1 2 2",
                "0 1 2 2 2 4 6 6 6",
                "0 0 1 2 1 2",
                "0 1 4 4 5 5",
                "0 1 2 4 3 5");
    }

    @Test
    void metadataOfTheWholeLayerExample() {
        Topology topology = Topology.of(ints("0 2 2 1 0 2 2 0 2 0"), 2, 3);
        assertArrayEquals(ints("0 4 7 9 3 1 2 5 6 8"), topology.slotOfRow());
        assertArrayEquals(ints("4 5 10"), topology.bins());
        PaddedRows padded = PaddedRows.of(topology, 2);
        assertArrayEquals(ints("4 6 12"), padded.paddedBins());
        assertArrayEquals(ints("0 1 2 3 4 6 7 8 9 10"), padded.paddedRowOfRow());
        assertArrays(
                MoeBlockPattern.padded(topology, 2, 4),
                "0 2 4 6 8 10 12",
                "0 1 0 1 2 3 4 5 4 5 4 5",
                "0 0 1 1 2 2 3 3 4 4 5 5",
                "0 2 4 5 6 9 12",
                "0 1 0 1 2 2 3 4 5 3 4 5",
                "0 0 1 1 2 3 4 4 4 5 5 5",
                "0 2 1 3 4 5 6 8 10 7 9 11");
    }

    /** The gathered rows and the sampled product of the whole-layer example: the data lie where the pattern says. */
    @Test
    void dataOfTheWholeLayerExample() {
        Topology topology = Topology.of(ints("0 2 2 1 0 2 2 0 2 0"), 2, 3);
        int[][] x = {{1, 2}, {-1, 1}, {2, -1}, {0, 3}, {1, -2}};
        int[][] w1 = {
            {1, 0}, {0, 1}, {1, 1}, {1, -1}, {2, 1}, {-1, 1}, {0, -1}, {1, 2}, {1, -2}, {-1, -1}, {0, 2}, {2, 0}
        };
        PaddedRows padded = PaddedRows.of(topology, 2);
        int[][] gathered = Arrays.stream(padded.slotSource())
                .mapToObj(slot -> slot == PaddedRows.PADDING ? new int[2] : x[slot / 2])
                .toArray(int[][]::new);
        assertArrayEquals(
                ints("1 2 2 -1 0 3 1 -2 -1 1 0 0 1 2 -1 1 2 -1 0 3 1 -2 0 0"),
                Arrays.stream(gathered).flatMapToInt(Arrays::stream).toArray());

        MoeBlockPattern pattern = MoeBlockPattern.padded(topology, 2, 4);
        int[] data = new int[(int) pattern.elements()];
        for (int z = 0; z < pattern.blocks(); z++) {
            for (int i = 0; i < 4; i++) {
                int[] row = gathered[(int) pattern.rowOffset(pattern.rowOf(z)) + i / 2];
                int[] column = w1[(int) pattern.columnOffset(pattern.columnOf(z)) + i % 2];
                data[(int) pattern.dataOffset(z) + i] = row[0] * column[0] + row[1] * column[1];
            }
        }
        assertArrayEquals(
                ints("1 2 2 -1 3 -1 1 3 0 3 1 -2 3 -3 -1 3 -1 2 0 0 -1 1 0 0 -3 -3 -3 0 4 2 2 -2 "
                        + "4 -1 -6 -3 -2 4 6 0 5 1 0 0 -4 2 0 0"),
                data);
    }

    @Test
    void expertParallelOverTwoRanks() {
        ExpertParallel parallel = new ExpertParallel(2, 4);
        Topology rank0 = Topology.of(ints("0 1 2"), 1, 4);
        Topology rank1 = Topology.of(ints("0 1 3"), 1, 4);
        assertArrayEquals(ints("1 1 1 0"), rank0.tokensPerExpert());
        assertArrayEquals(ints("1 1 0 1"), rank1.tokensPerExpert());
        assertArrayEquals(ints("2 1"), parallel.sendCounts(rank0));
        assertArrayEquals(ints("2 1"), parallel.sendCounts(rank1));

        ExpertParallel.Received at0 = parallel.receive(ints("1 1 1 1"));
        assertArrayEquals(ints("2 2"), at0.receiveCounts());
        assertArrayEquals(ints("1 2 3 4"), at0.replicateBins());
        assertArrayEquals(ints("0 1 0 1"), at0.expertIds());
        assertArrayEquals(ints("0 0 1 1"), at0.topology().binIds());
        assertArrayEquals(ints("0 2 1 3"), at0.permutation());
        assertArrayEquals(ints("2 4"), at0.parallelBins());

        ExpertParallel.Received at1 = parallel.receive(ints("1 0 0 1"));
        assertArrayEquals(ints("1 1"), at1.receiveCounts());
        assertArrayEquals(ints("1 1 1 2"), at1.replicateBins());
        assertArrayEquals(ints("0 1"), at1.expertIds());
        assertArrayEquals(ints("0 1"), at1.permutation());
        assertArrayEquals(ints("1 2"), at1.parallelBins());
    }
}
