package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.argsort;
import static dev.dropless.topology.TestSupport.histogram;
import static dev.dropless.topology.TestSupport.inclusiveSum;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The parameter grids of MegaBlocks' own tests: topology, histogram, sort, cumulative sums, replicate. */
class MegaBlocksGridTest {

    static Stream<Arguments> topologies() {
        Stream<Arguments> first = Stream.of(2, 4, 8, 16, 32, 64, 128, 256, 512).map(e -> Arguments.of(1024, 1536, e));
        Stream<Arguments> second =
                Stream.of(2, 4, 8, 16, 32, 64, 128, 256, 512, 1024).map(e -> Arguments.of(16384, 768, e));
        return Stream.concat(Stream.concat(first, second), Stream.of(Arguments.of(8, 14336, 8)));
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void topology(int tokens, int ffn, int experts) {
        int[] ids = new Random(42).ints(tokens, 0, experts).toArray();
        int q = ffn / 128;
        int[] blockRows =
                Arrays.stream(histogram(ids, experts)).map(n -> (n + 127) / 128).toArray();
        int[] columns = new int[IntStream.of(blockRows).sum() * q];
        int[] rows = new int[columns.length];
        int block = 0;
        int row = 0;
        for (int e = 0; e < experts; e++) {
            for (int i = 0; i < blockRows[e]; i++, row++) {
                for (int j = 0; j < q; j++, block++) {
                    columns[block] = e * q + j;
                    rows[block] = row;
                }
            }
        }
        MoeBlockPattern pattern = MoeBlockPattern.padded(Topology.of(ids, 1, experts), 128, ffn);
        BcsrArrays arrays = pattern.arrays();
        assertArrayEquals(columns, arrays.columnIndices());
        assertArrayEquals(rows, arrays.rowIndices());
        TestSupport.assertTransposeIsSorted(arrays, experts * q);
        assertEquals(128L * row, pattern.rows());
    }

    static Stream<Arguments> histograms() {
        return Stream.of(1, 2, 8)
                .flatMap(batch -> Stream.of(32, 1024, 16384)
                        .flatMap(n -> Stream.of(128, 1024).map(bins -> Arguments.of(batch, n, bins))));
    }

    /** A batch of histograms is one histogram per row; the ids have one type here, so a third of the grid remains. */
    @ParameterizedTest
    @MethodSource("histograms")
    void histogramOfEachBatchRow(int batch, int n, int bins) {
        Random random = new Random(43);
        for (int b = 0; b < batch; b++) {
            int[] ids = random.ints(n, 0, bins).toArray();
            assertArrayEquals(histogram(ids, bins), Topology.of(ids, 1, bins).tokensPerExpert());
        }
    }

    static Stream<Arguments> sorts() {
        return Stream.of(32, 1024, 16384)
                .flatMap(n -> Stream.of(128, (int) Short.MAX_VALUE).map(max -> Arguments.of(n, max)));
    }

    /** Keys up to 2^15; beyond that a counting sort over experts has no meaning. */
    @ParameterizedTest
    @MethodSource("sorts")
    void sort(int n, int max) {
        int[] ids = new Random(44).ints(n, 0, max).toArray();
        Topology topology = Topology.of(ids, 1, max);
        assertArrayEquals(IntStream.of(ids).sorted().toArray(), topology.binIds());
        assertArrayEquals(argsort(ids), topology.slotOfRow());
    }

    static Stream<Arguments> sums() {
        Stream<Arguments> small = Stream.of(Arguments.of(1, 32), Arguments.of(2, 32));
        Stream<Arguments> large = Stream.of(2, 4, 8, 16, 32, 64, 128)
                .flatMap(n -> Stream.of(1024, 16384).map(m -> Arguments.of(n, m)));
        return Stream.concat(small, large);
    }

    @ParameterizedTest
    @MethodSource("sums")
    void cumulativeSumsOfZerosAndOnes(int n, int m) {
        Random random = new Random(45);
        for (int i = 0; i < n; i++) {
            int[] loads = random.ints(m, 0, 2).toArray();
            Topology topology = TestSupport.withLoads(loads);
            int[] inclusive = inclusiveSum(loads);
            assertArrayEquals(inclusive, topology.bins());
            int[] exclusive = IntStream.range(0, m).map(topology::offset).toArray();
            assertArrayEquals(
                    IntStream.range(0, m).map(e -> inclusive[e] - loads[e]).toArray(), exclusive);
        }
    }

    static Stream<Arguments> replicates() {
        List<Arguments> small = Stream.of("1 1", "2 1", "4 1", "8 1", "2 2", "4 2", "8 2", "2 4", "4 4", "8 4", "2 8")
                .map(TestSupport::ints)
                .map(p -> Arguments.of(8, p[0], p[1]))
                .toList();
        Stream<Arguments> more = Stream.of(Arguments.of(8, 4, 8), Arguments.of(8, 8, 8));
        Stream<Arguments> large = Stream.of(2, 4, 8, 16, 32, 64, 128)
                .flatMap(bins -> Stream.of(1, 2, 4, 8).map(batch -> Arguments.of(16384, bins, batch)));
        return Stream.concat(Stream.concat(small.stream(), more), large);
    }

    /** Replication of one value per bin is what expands the local expert ids after an exchange of rows. */
    @ParameterizedTest
    @MethodSource("replicates")
    void replicate(int n, int bins, int batch) {
        Random random = new Random(46);
        int[] counts = histogram(random.ints(n, 0, bins).toArray(), bins);
        ExpertParallel.Received received = new ExpertParallel(1, bins).receive(counts);
        assertArrayEquals(inclusiveSum(counts), received.replicateBins());
        for (int b = 0; b < batch; b++) {
            int[] values = random.ints(bins).toArray();
            int[] expected = IntStream.range(0, bins)
                    .flatMap(j -> IntStream.generate(() -> values[j]).limit(counts[j]))
                    .toArray();
            assertArrayEquals(
                    expected,
                    Arrays.stream(received.expertIds()).map(e -> values[e]).toArray());
        }
    }
}
