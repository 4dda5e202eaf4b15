package dev.dropless.blocksparse;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.topology.BcsrPattern;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MatrixTest {

    /** Nine GiB of addresses without memory behind them: good for sizes, not for access. */
    private static final MemorySegment HUGE = MemorySegment.ofAddress(4096).reinterpret(9L << 30);

    private static Matrix view(long bytes, ElementType type, long offset, long rows, long columns, long stride) {
        MemorySegment segment = MemorySegment.ofAddress(4096).reinterpret(bytes);
        return new Matrix(segment, type, offset, rows, columns, stride, MemorySpace.HOST);
    }

    private static void assertRejected(String argument, Runnable call) {
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        assertTrue(message.startsWith(argument + ": expected") && message.contains("found"), message);
    }

    @Test
    void elementsBeyondTwoToThe31AreReachedInASparseFile(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("sparse.bin");
        long rows = (1L << 31) + 5;
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(
                        file,
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.SPARSE,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            MemorySegment segment = channel.map(FileChannel.MapMode.READ_WRITE, 0, 3 * rows * 2, arena);
            Matrix matrix = Matrix.of(segment, ElementType.BF16, rows, 3);
            assertEquals(3 * rows - 1, matrix.index(rows - 1, 2));
            matrix.set(rows - 1, 2, 42);
            matrix.set(0, 0, -1);
            assertEquals(42, matrix.get(rows - 1, 2));
            assertEquals(42, ElementType.BF16.get(segment, segment.byteSize() - 2));
            Matrix corner = matrix.slice(rows - 2, 2, 1, 2);
            assertArrayEquals(new double[] {0, 0, 0, 42}, corner.toDoubles());
            Matrix wide = Matrix.of(segment, ElementType.BF16, 3, rows);
            assertEquals(42, wide.get(2, rows - 1));
            wide.sliceColumns(rows - 1, 1).copyFrom(Matrix.of(new float[] {5, 6, 7}, 3, 1));
            assertEquals(6, wide.get(1, rows - 1));
            assertEquals(7, matrix.get(rows - 1, 2));
        }
    }

    @Test
    void sizesBeyondTwoToThe31AreChecked() {
        long elements = HUGE.byteSize() / 2;
        Matrix matrix = Matrix.of(HUGE, ElementType.BF16, elements / 8, 8);
        assertEquals(elements - 1, matrix.index(elements / 8 - 1, 7));
        assertRejected("segment", () -> Matrix.of(HUGE, ElementType.BF16, elements / 8 + 1, 8));
        assertRejected("segment", () -> Matrix.of(HUGE, ElementType.F32, elements / 8, 8));
    }

    @Test
    void sizesThatOverflowAreRejected() {
        long big = Long.MAX_VALUE / 2;
        assertRejected("segment", () -> view(1 << 20, ElementType.F32, 0, big, big, big));
        assertRejected("segment", () -> view(1 << 20, ElementType.F32, Long.MAX_VALUE, 2, 2, 2));
        assertRejected("segment", () -> view(1 << 20, ElementType.F32, 0, 3, 1, Long.MAX_VALUE));
        assertRejected("matrix", () -> view(64, ElementType.F32, -1, 1, 1, 1));
        assertRejected("matrix", () -> view(64, ElementType.F32, 0, -1, 1, 1));
        assertRejected("matrix", () -> view(64, ElementType.F32, 0, 1, -1, 1));
        assertRejected("rowStride", () -> view(1 << 20, ElementType.F32, 0, 2, 5, 4));
        assertRejected("rowStride", () -> view(1 << 20, ElementType.F32, 0, 2, 5, -5));
        try (Arena arena = Arena.ofConfined()) {
            assertRejected("rows", () -> Matrix.allocate(arena, ElementType.F32, big, 4));
            assertRejected("rows", () -> Matrix.allocate(arena, ElementType.F32, -1, 4));
        }
    }

    @Test
    void exactFitIsAccepted() {
        for (ElementType type : ElementType.values()) {
            long bytes = (2 + 2 * 7 + 3) * type.bytes();
            assertDoesNotThrow(() -> view(bytes, type, 2, 3, 3, 7));
            assertRejected("segment", () -> view(bytes - 1, type, 2, 3, 3, 7));
        }
        assertDoesNotThrow(() -> view(0, ElementType.F64, 0, 0, 5, 5));
        assertDoesNotThrow(() -> view(0, ElementType.F64, 0, 5, 0, 0));
        assertDoesNotThrow(() -> view(8, ElementType.F64, 0, 1, 1, 0), "one row needs no stride");
    }

    @Test
    void slicesSeeTheSameElements() {
        Matrix matrix = Matrix.of(new double[35], 5, 7);
        for (int i = 0; i < 5; i++) {
            for (int j = 0; j < 7; j++) {
                matrix.set(i, j, 10 * i + j);
            }
        }
        Matrix slice = matrix.slice(1, 3, 2, 4).slice(1, 2, 1, 2);
        assertArrayEquals(new double[] {23, 24, 33, 34}, slice.toDoubles());
        slice.fill(-1);
        assertEquals(-1, matrix.get(3, 4));
        assertEquals(25, matrix.get(2, 5), "right neighbour");
        assertEquals(22, matrix.get(2, 2), "left neighbour");
        assertEquals(0, matrix.sliceRows(5, 0).rows());
        assertEquals(0, matrix.sliceColumns(7, 0).columns());
        assertRejected("rows", () -> matrix.sliceRows(3, 3));
        assertRejected("rows", () -> matrix.sliceRows(Long.MAX_VALUE, 1));
        assertRejected("rows", () -> matrix.sliceRows(-1, 1));
        assertRejected("columns", () -> matrix.sliceColumns(0, 8));
        assertRejected("columns", () -> matrix.sliceColumns(1, Long.MAX_VALUE));
    }

    @Test
    void copyConvertsBetweenTypesStridesAndKindsOfMemory() {
        Random random = new Random(3);
        for (ElementType from : ElementType.values()) {
            for (ElementType to : ElementType.values()) {
                try (Arena arena = Arena.ofConfined()) {
                    Matrix source = Matrix.allocate(arena, from, 4, 9).sliceColumns(3, 5);
                    Matrix whole = Matrix.of(MemorySegment.ofArray(new byte[4 * 8 * to.bytes()]), to, 4, 8);
                    Matrix target = whole.sliceColumns(1, 5);
                    whole.fill(7);
                    MemorySegment cell = arena.allocate(8);
                    for (int i = 0; i < 4; i++) {
                        for (int j = 0; j < 5; j++) {
                            source.set(i, j, random.nextGaussian());
                        }
                    }
                    target.copyFrom(source);
                    for (int i = 0; i < 4; i++) {
                        for (int j = 0; j < 5; j++) {
                            to.set(cell, 0, source.get(i, j));
                            assertEquals(to.get(cell, 0), target.get(i, j), from + " to " + to);
                        }
                        assertEquals(7, whole.get(i, 0));
                        assertEquals(7, whole.get(i, 6));
                    }
                }
            }
        }
        assertRejected("source", () -> Matrix.of(new float[6], 2, 3).copyFrom(Matrix.of(new float[6], 3, 2)));
    }

    @Test
    void allocatedMemoryIsZeroAndAligned() {
        try (Arena arena = Arena.ofConfined()) {
            Matrix matrix = Matrix.allocate(arena, ElementType.F16, 3, 5);
            assertArrayEquals(new double[15], matrix.toDoubles());
            assertEquals(0, matrix.segment().address() % Matrix.ALIGNMENT);
            assertEquals("F16 [3, 5]", matrix.describe());
            BcsrPattern pattern = BcsrPattern.ofMask(2, 2, 3, new boolean[] {true, false, true, true});
            BlockSparseMatrix sparse = BlockSparseMatrix.allocate(arena, pattern, ElementType.F32);
            sparse.block(2).set(1, 2, 9);
            assertEquals(9, sparse.data().get(0, 2 * 9 + 1 * 3 + 2));
            assertEquals(6, sparse.rows());
            assertEquals(6, sparse.columns());
            assertRejected("data", () -> new BlockSparseMatrix(pattern, matrix));
        }
    }

    @Test
    void deviceMemoryIsNotTouchable() {
        Matrix device = new Matrix(
                MemorySegment.ofAddress(0x7000_0000L), ElementType.F32, 4, 100, 100, 100, new MemorySpace("gpu", 0));
        assertThrows(IndexOutOfBoundsException.class, () -> device.get(0, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> device.set(0, 0, 1));
        assertEquals(4 + 250, device.slice(2, 1, 50, 1).offset());
    }

    @Test
    void overlapIsExactForViewsOfOneBuffer() {
        float[] values = new float[60];
        Matrix all = Matrix.of(values, 6, 10);
        for (int r1 = 0; r1 < 6; r1 += 2) {
            for (int c1 = 0; c1 < 10; c1 += 3) {
                for (int r2 = 0; r2 < 6; r2++) {
                    for (int c2 = 0; c2 < 10; c2++) {
                        Matrix x = all.slice(r1, Math.min(2, 6 - r1), c1, Math.min(3, 10 - c1));
                        Matrix y = all.slice(r2, Math.min(3, 6 - r2), c2, Math.min(2, 10 - c2));
                        x.fill(0);
                        y.fill(0);
                        x.fill(1);
                        boolean shared = false;
                        for (double value : y.toDoubles()) {
                            shared |= value == 1;
                        }
                        assertEquals(shared, x.overlaps(y), x + " and " + y);
                        assertEquals(shared, y.overlaps(x), y + " and " + x);
                        x.fill(0);
                    }
                }
            }
        }
        assertFalse(all.overlaps(Matrix.of(new float[60], 6, 10)), "another array");
        assertFalse(all.overlaps(all.sliceRows(2, 0)), "nothing");
        assertTrue(all.overlaps(all));
    }
}
