package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.assertTransposeIsSorted;
import static dev.dropless.topology.TestSupport.permutedIds;
import static dev.dropless.topology.TestSupport.randomIds;
import static dev.dropless.topology.TestSupport.withLoads;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MoeBlockPatternTest {

    /** Walks experts, block rows and block columns in order and counts up what the closed forms must give. */
    private static void assertWalk(Topology topology, int blockSize, int ffn, boolean padded) {
        MoeBlockPattern pattern = padded
                ? MoeBlockPattern.padded(topology, blockSize, ffn)
                : MoeBlockPattern.exact(topology, blockSize, ffn);
        int q = (ffn + blockSize - 1) / blockSize;
        int blockRow = 0;
        int block = 0;
        long row = 0;
        long data = 0;
        boolean uniform = ffn % blockSize == 0;
        for (int e = 0; e < topology.numExperts(); e++) {
            assertEquals(blockRow, pattern.firstBlockRow(e));
            for (int left = topology.tokensPerExpert(e); left > 0; left -= blockSize) {
                int height = padded ? blockSize : Math.min(left, blockSize);
                uniform &= height == blockSize;
                assertEquals(row, pattern.rowOffset(blockRow));
                assertEquals(height, pattern.height(blockRow));
                assertEquals(block, pattern.firstBlock(blockRow));
                assertEquals(e, pattern.expertOfBlockRow(blockRow));
                for (int j = 0; j < q; j++, block++) {
                    assertEquals(data, pattern.dataOffset(block));
                    assertEquals(blockRow, pattern.rowOf(block));
                    assertEquals(e * q + j, pattern.columnOf(block));
                    data += (long) height * pattern.width(e * q + j);
                }
                row += height;
                blockRow++;
            }
            for (int j = 0; j < q; j++) {
                assertEquals((long) e * ffn + j * blockSize, pattern.columnOffset(e * q + j));
                assertEquals(Math.min(blockSize, ffn - j * blockSize), pattern.width(e * q + j));
            }
        }
        assertEquals(blockRow, pattern.blockRows());
        assertEquals(blockRow, pattern.firstBlockRow(topology.numExperts()));
        assertEquals(block, pattern.blocks());
        assertEquals(block, pattern.firstBlock(blockRow));
        assertEquals(row, pattern.rows());
        assertEquals(data, pattern.elements());
        assertEquals(q * topology.numExperts(), pattern.blockColumns());
        assertEquals((long) ffn * topology.numExperts(), pattern.columns());
        assertEquals(uniform, pattern.uniform());
        assertTransposeIsSorted(pattern.arrays(), pattern.blockColumns());
        if (!padded) {
            assertEquals(topology.rows(), pattern.rows());
            assertEquals((long) topology.rows() * ffn, pattern.elements(), "nothing is padded");
        } else {
            assertEquals(PaddedRows.of(topology, blockSize).rows(), pattern.rows());
        }
    }

    @Test
    void closedFormsAgreeWithAWalkAndASort() {
        Random random = new Random(7);
        for (int i = 0; i < 400; i++) {
            int topK = 1 + random.nextInt(3);
            int experts = i % 6 == 0 ? 1 : 1 + random.nextInt(9);
            int[] ids = randomIds(random, i % 9 == 0 ? 0 : random.nextInt(40), topK, experts);
            Topology topology = Topology.of(ids, topK, experts);
            int blockSize = 1 + random.nextInt(i % 4 == 0 ? 50 : 9);
            int ffn = i % 2 == 0 ? blockSize * (1 + random.nextInt(4)) : 1 + random.nextInt(30);
            assertWalk(topology, blockSize, ffn, false);
            assertWalk(topology, blockSize, ffn, true);
        }
    }

    @Test
    void closedFormsHoldWhenEveryTokenGoesToEveryExpert() {
        for (int experts = 1; experts < 7; experts++) {
            Topology topology = Topology.of(permutedIds(new Random(experts), 13, experts), experts, experts);
            assertWalk(topology, 4, 8, true);
            assertWalk(topology, 4, 10, false);
        }
    }

    @Test
    void experts0AndLastMayBeEmpty() {
        for (boolean padded : new boolean[] {false, true}) {
            assertWalk(withLoads(0, 0, 5, 0, 3, 0, 0), 2, 5, padded);
            assertWalk(withLoads(0, 0, 0), 2, 4, padded);
            assertWalk(withLoads(9), 16, 1, padded);
        }
    }

    @Test
    void elementsBeyondThe32BitRangeAreCountedExactly() {
        Topology topology = Topology.dense(1 << 20);
        MoeBlockPattern pattern = MoeBlockPattern.exact(topology, 128, 16384);
        assertEquals(1L << 34, pattern.elements());
        assertEquals(1 << 20, pattern.blocks());
        for (int z : new int[] {0, 1, 131_071, 131_072, 131_073, 777_777, (1 << 20) - 1, 1 << 20}) {
            assertEquals((long) z * 128 * 128, pattern.dataOffset(z));
        }
        MoeBlockPattern ragged = MoeBlockPattern.exact(topology, 128, 16383);
        assertEquals((1L << 20) * 16383, ragged.elements());
        int last = ragged.blocks() - 1;
        assertEquals((1L << 20) * 16383 - 128 * 127, ragged.dataOffset(last));
        assertEquals(last, ragged.transposedBlock(last));
    }

    @Test
    void rowsAndColumnsBeyondThe32BitRangeAreCountedExactly() {
        int[] loads = new int[40];
        Arrays.fill(loads, 1);
        MoeBlockPattern pattern = MoeBlockPattern.padded(withLoads(loads), 1 << 27, 1 << 29);
        assertEquals(40L << 27, pattern.rows());
        assertEquals(40L << 29, pattern.columns());
        assertEquals(40L << 56, pattern.elements());
        assertEquals(39L << 27, pattern.rowOffset(39));
        assertEquals((39L << 29) + (3L << 27), pattern.columnOffset(39 * 4 + 3));
        assertEquals((9L << 56) + (2L << 54), pattern.dataOffset(9 * 4 + 2));
        assertEquals(1 << 27, pattern.height(39));
        assertEquals(1 << 27, pattern.width(159));
        assertEquals(160, pattern.blocks());
    }

    @Test
    void rejectsWhatDoesNotFit() {
        Topology topology = Topology.dense(1 << 20);
        assertRejected("blockSize: expected at least 1, found 0", () -> MoeBlockPattern.exact(topology, 0, 4));
        assertRejected("ffnHiddenSize: expected at least 1, found 0", () -> MoeBlockPattern.padded(topology, 4, 0));
        assertRejected(
                "blocks: expected at most 2147483647 (blockRows = 1048576, ffnHiddenSize = 16384, blockSize = 1), "
                        + "found 17179869184",
                () -> MoeBlockPattern.exact(topology, 1, 16384));
        assertRejected(
                "blockColumns: expected at most 2147483647 (numExperts = 3, ffnHiddenSize = 1073741824, "
                        + "blockSize = 1), found 3221225472",
                () -> MoeBlockPattern.padded(withLoads(0, 0, 0), 1, 1 << 30));
        int[] loads = new int[8];
        Arrays.fill(loads, 1);
        assertRejected(
                "elements: expected at most 9223372036854775807, found 8589934592 * 1073741824",
                () -> MoeBlockPattern.padded(withLoads(loads), 1 << 30, 1 << 30));
    }

    @Test
    void equalityIsThatOfTheBlocks() {
        Topology one = Topology.of(new int[] {0, 1, 1, 0, 1}, 1, 2);
        Topology sameLoads = Topology.of(new int[] {0, 0, 1, 1, 1}, 1, 2);
        MoeBlockPattern pattern = MoeBlockPattern.exact(one, 2, 4);
        assertEquals(pattern, MoeBlockPattern.exact(sameLoads, 2, 4));
        assertEquals(pattern.hashCode(), MoeBlockPattern.exact(sameLoads, 2, 4).hashCode());
        assertNotEquals(pattern, MoeBlockPattern.padded(one, 2, 4));
        assertNotEquals(pattern, MoeBlockPattern.exact(one, 1, 4));
        assertNotEquals(pattern, MoeBlockPattern.exact(one, 2, 3));
        assertEquals("MoeBlockPattern[5 x 8, numExperts=2, blockSize=2, blocks=6]", pattern.toString());
    }

    @Test
    void sameBlocksLooksThroughTheKindOfPattern() {
        Topology topology = Topology.of(new int[] {0, 1, 1, 0, 1}, 1, 2);
        MoeBlockPattern padded = MoeBlockPattern.padded(topology, 2, 4);
        BcsrArrays arrays = padded.arrays();
        BcsrPattern copy = BcsrPattern.of(3, 4, 2, arrays.offsets(), arrays.columnIndices());
        assertTrue(padded.sameBlocks(copy));
        assertTrue(copy.sameBlocks(padded));
        assertTrue(padded.sameBlocks(MoeBlockPattern.padded(topology, 2, 4)));
        assertFalse(padded.sameBlocks(MoeBlockPattern.exact(topology, 2, 4)), "the last block row is lower");
        assertFalse(padded.sameBlocks(MoeBlockPattern.padded(topology, 2, 3)), "each expert's last column is narrower");
        assertFalse(padded.sameBlocks(BcsrPattern.of(3, 4, 2, arrays.offsets(), new int[] {0, 1, 2, 3, 1, 3})));
        assertFalse(padded.sameBlocks(BcsrPattern.of(3, 4, 2, new int[] {0, 1, 4, 6}, new int[] {0, 1, 2, 3, 2, 3})));
        assertFalse(padded.sameBlocks(BcsrPattern.of(3, 5, 2, arrays.offsets(), arrays.columnIndices())));
        BcsrArrays twice = BcsrArrays.of(copy);
        assertArrayEquals(arrays.blockOffsetsT(), twice.blockOffsetsT());
        assertArrayEquals(arrays.offsetsT(), twice.offsetsT());
    }
}
