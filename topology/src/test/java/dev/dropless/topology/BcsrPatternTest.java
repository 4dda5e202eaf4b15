package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.assertTransposeIsSorted;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class BcsrPatternTest {

    @Test
    void storesTheBlocksOfAMask() {
        Random random = new Random(8);
        for (int i = 0; i < 200; i++) {
            int rows = random.nextInt(9);
            int columns = random.nextInt(9);
            int size = 1 + random.nextInt(5);
            double density = random.nextInt(5) / 4.0;
            boolean[] mask = new boolean[rows * columns];
            for (int j = 0; j < mask.length; j++) {
                mask[j] = random.nextDouble() < density;
            }
            BcsrPattern pattern = BcsrPattern.ofMask(rows, columns, size, mask);
            int z = 0;
            for (int r = 0; r < rows; r++) {
                assertEquals(z, pattern.firstBlock(r));
                for (int c = 0; c < columns; c++) {
                    if (mask[r * columns + c]) {
                        assertEquals(r, pattern.rowOf(z));
                        assertEquals(c, pattern.columnOf(z));
                        assertEquals((long) z * size * size, pattern.dataOffset(z));
                        z++;
                    }
                }
            }
            assertEquals(z, pattern.blocks());
            assertEquals((long) z * size * size, pattern.elements());
            assertEquals(rows, pattern.blockRows());
            assertEquals(columns, pattern.blockColumns());
            assertEquals((long) rows * size, pattern.rows());
            assertEquals((long) columns * size, pattern.columns());
            assertEquals(size, pattern.blockSize());
            assertTrue(pattern.uniform());
            assertTransposeIsSorted(pattern.arrays(), columns);
            BcsrArrays arrays = pattern.arrays();
            BcsrPattern copy = BcsrPattern.of(rows, columns, size, arrays.offsets(), arrays.columnIndices());
            assertEquals(pattern, copy);
            assertEquals(pattern.hashCode(), copy.hashCode());
        }
    }

    @Test
    void keepsItsOwnArrays() {
        int[] offsets = {0, 1, 2};
        int[] columns = {0, 1};
        BcsrPattern pattern = BcsrPattern.of(2, 2, 4, offsets, columns);
        offsets[1] = 2;
        columns[1] = 0;
        assertArrayEquals(new int[] {0, 1, 2}, pattern.arrays().offsets());
        assertArrayEquals(new int[] {0, 1}, pattern.arrays().columnIndices());
        assertNotEquals(pattern, BcsrPattern.of(2, 2, 3, pattern.arrays().offsets(), new int[] {0, 1}));
        assertEquals("BcsrPattern[8 x 8, blockSize=4, blocks=2]", pattern.toString());
    }

    @Test
    void offsetsOfElementsAreLong() {
        BcsrPattern pattern = BcsrPattern.of(1, 4, 40_000, new int[] {0, 4}, new int[] {0, 1, 2, 3});
        assertEquals(3L * 40_000 * 40_000, pattern.dataOffset(3));
        assertEquals(4L * 40_000 * 40_000, pattern.elements());
        BcsrPattern wide = BcsrPattern.of(1, 100_000, 40_000, new int[] {0, 1}, new int[] {99_999});
        assertEquals(4_000_000_000L, wide.columns());
        assertEquals(40_000, wide.width(99_999));
    }

    @Test
    void rejectsWhatIsNoPattern() {
        int[] none = {};
        int[] zero = {0};
        assertRejected("blockRows: expected at least 0, found -1", () -> BcsrPattern.of(-1, 1, 1, zero, none));
        assertRejected("blockColumns: expected at least 0, found -1", () -> BcsrPattern.of(0, -1, 1, zero, none));
        assertRejected(
                "blockColumns: expected at most 2147483646, found 2147483647",
                () -> BcsrPattern.of(0, Integer.MAX_VALUE, 1, zero, none));
        assertRejected("blockSize: expected at least 1, found 0", () -> BcsrPattern.of(0, 1, 0, zero, none));
        assertRejected(
                "offsets.length: expected blockRows + 1 = 3, found 1", () -> BcsrPattern.of(2, 1, 1, zero, none));
        assertRejected(
                "offsets.length: expected blockRows + 1 = 2147483648, found 1",
                () -> BcsrPattern.of(Integer.MAX_VALUE, 1, 1, zero, none));
        assertRejected(
                "offsets[0]: expected 0, found 1", () -> BcsrPattern.of(1, 1, 1, new int[] {1, 1}, new int[] {0}));
        assertRejected(
                "offsets[2]: expected at least offsets[1] = 2, found 1",
                () -> BcsrPattern.of(2, 3, 1, new int[] {0, 2, 1}, new int[] {0}));
        assertRejected(
                "offsets[1]: expected columnIndices.length = 1, found 2",
                () -> BcsrPattern.of(1, 3, 1, new int[] {0, 2}, new int[] {0}));
        assertRejected(
                "columnIndices[1]: expected 2..2, found 3",
                () -> BcsrPattern.of(1, 3, 1, new int[] {0, 2}, new int[] {1, 3}));
        assertRejected(
                "columnIndices[0]: expected 0..2, found -1",
                () -> BcsrPattern.of(1, 3, 1, new int[] {0, 2}, new int[] {-1, 1}));
        assertRejected(
                "columnIndices[1]: expected 2..2, found 1",
                () -> BcsrPattern.of(1, 3, 1, new int[] {0, 2}, new int[] {1, 1}));
        assertRejected(
                "mask.length: expected blockRows * blockColumns = 6, found 5",
                () -> BcsrPattern.ofMask(2, 3, 1, new boolean[5]));
        assertRejected(
                "mask.length: expected blockRows * blockColumns = 4294967296, found 0",
                () -> BcsrPattern.ofMask(1 << 16, 1 << 16, 1, new boolean[0]));
        assertRejected(
                "elements: expected at most 9223372036854775807, found 8 * 1152921504606846976",
                () -> BcsrPattern.of(1, 8, 1 << 30, new int[] {0, 8}, new int[] {0, 1, 2, 3, 4, 5, 6, 7}));
    }
}
