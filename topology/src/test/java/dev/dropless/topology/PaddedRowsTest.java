package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.inclusiveSum;
import static dev.dropless.topology.TestSupport.randomIds;
import static dev.dropless.topology.TestSupport.withLoads;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PaddedRowsTest {

    @Test
    void everyRowHasAPlaceAndTheRestIsPadding() {
        Random random = new Random(9);
        for (int i = 0; i < 300; i++) {
            int experts = 1 + random.nextInt(8);
            Topology topology = Topology.of(randomIds(random, random.nextInt(30), 2, experts), 2, experts);
            int size = 1 + random.nextInt(i % 3 == 0 ? 64 : 6);
            PaddedRows padded = PaddedRows.of(topology, size);
            int[] loads = Arrays.stream(topology.tokensPerExpert())
                    .map(n -> (n + size - 1) / size * size)
                    .toArray();
            assertArrayEquals(loads, padded.paddedTokensPerExpert());
            assertArrayEquals(inclusiveSum(loads), padded.paddedBins());
            assertEquals(Arrays.stream(loads).sum(), padded.rows());
            assertEquals(padded.rows() - topology.rows(), padded.paddingRows());
            int[] source = new int[padded.rows()];
            Arrays.fill(source, PaddedRows.PADDING);
            int[] rho = new int[topology.rows()];
            for (int e = 0, at = 0; e < experts; at += loads[e++]) {
                assertEquals(at, padded.offset(e));
                for (int j = 0; j < topology.tokensPerExpert(e); j++) {
                    rho[topology.offset(e) + j] = at + j;
                    source[at + j] = topology.slotOfRow(topology.offset(e) + j);
                }
            }
            assertArrayEquals(rho, padded.paddedRowOfRow());
            assertArrayEquals(source, padded.slotSource());
            for (int row = 0; row < rho.length; row++) {
                assertEquals(rho[row], padded.paddedRowOfRow(row));
            }
            for (int row = 0; row < source.length; row++) {
                assertEquals(source[row], padded.slotSource(row));
            }
        }
    }

    @Test
    void withBlocksOfOneNothingIsPadded() {
        Topology topology = withLoads(3, 0, 4);
        PaddedRows padded = PaddedRows.of(topology, 1);
        assertEquals(0, padded.paddingRows());
        assertArrayEquals(topology.slotOfRow(), padded.slotSource());
        assertSame(topology, padded.topology());
        assertEquals(1, padded.blockSize());
        assertEquals("PaddedRows[blockSize=1, rows=7, padding=0]", padded.toString());
    }

    @Test
    void rejectsBadInput() {
        Topology topology = withLoads(1, 1, 1);
        assertRejected("blockSize: expected at least 1, found 0", () -> PaddedRows.of(topology, 0));
        assertRejected(
                "padded rows: expected at most 2147483647 (3 blocks, blockSize = 1073741824), found 3221225472",
                () -> PaddedRows.of(topology, 1 << 30));
        PaddedRows padded = PaddedRows.of(topology, 4);
        assertThrows(IndexOutOfBoundsException.class, () -> padded.slotSource(12));
        assertThrows(IndexOutOfBoundsException.class, () -> padded.paddedRowOfRow(3));
    }
}
