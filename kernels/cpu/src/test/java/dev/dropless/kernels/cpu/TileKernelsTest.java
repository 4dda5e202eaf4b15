package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.kernels.cpu.x86.Assembler.Width;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Every vector kernel and emitted one against its scalar twin, bit for bit, between guard elements that must not change. */
class TileKernelsTest {

    private final TileKernels scalar = CpuTier.SCALAR.create();
    private final TileKernels vector = CpuTier.VECTOR.create();
    private final RandomNumbers numbers = new RandomNumbers(7);

    @Test
    void vectorMultiply() {
        multiplyEveryNumberOfRows(vector);
    }

    @Test
    void emittedMultiply() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        multiplyEveryNumberOfRows(new EmittedKernels(Width.YMM, scalar));
        if (EmittedSupport.widest() == Width.ZMM) {
            multiplyEveryNumberOfRows(new EmittedKernels(Width.ZMM, scalar));
        }
    }

    @Test
    void vectorMultiplyColumnsAndPanels() {
        multiplyColumnsAndPanels(vector);
    }

    @Test
    void emittedMultiplyColumnsAndPanels() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        multiplyColumnsAndPanels(new EmittedKernels(Width.YMM, scalar));
        if (EmittedSupport.widest() == Width.ZMM) {
            multiplyColumnsAndPanels(new EmittedKernels(Width.ZMM, scalar));
        }
    }

    private void multiplyColumnsAndPanels(TileKernels kernels) {
        for (int rows = 0; rows <= 32; rows++) {
            for (int depth : new int[] {0, 1, 13, 64, 97}) {
                multiplyColumns(kernels, rows, depth);
            }
            for (int depth : new int[] {0, 32, 64, 160}) {
                multiplyPanels(kernels, rows, depth, TileKernels.PANEL);
                multiplyPanels(kernels, rows, depth, TileKernels.BLOCK);
            }
        }
        multiplyColumns(kernels, 207, 3);
    }

    private void multiplyColumns(TileKernels kernels, int rows, int depth) {
        float[] values = numbers.normal(rows * depth);
        Storage b = Storage.of(numbers.normal(5 + depth * TileKernels.PANEL));
        float[] start = numbers.guarded(rows * TileKernels.PANEL);
        float[] expected = start.clone();
        Storage tile = copy(Storage.of(start), kernels);
        Storage a = interleaved(scalar, values, rows, depth);
        scalar.multiplyColumns(rows, depth, a, 3, b, 5, Storage.of(expected), 8);
        Storage own = interleaved(kernels, values, rows, depth);
        kernels.multiplyColumns(rows, depth, own, 3, copy(b, kernels), 5, tile, 8);
        float[] actual = new float[start.length];
        tile.read(0, actual.length, actual, 0);
        assertArrayEquals(expected, actual, kernels.description() + ", rows and depth: " + rows + " " + depth);
    }

    private static Storage interleaved(TileKernels kernels, float[] values, int rows, int depth) {
        int height = kernels.interleavedRows();
        float[] a = new float[3 + Math.ceilDiv(rows, height) * depth * TileKernels.BLOCK];
        for (int i = 0; i < rows; i++) {
            for (int k = 0; k < depth; k++) {
                a[3 + (i / height * depth + k) * TileKernels.BLOCK + i % height] = values[i * depth + k];
            }
        }
        return Storage.of(a);
    }

    /** The scalar kernels differ only in where they find the left operand. */
    @Test
    void scalarMultiplyColumnsAndPanels() {
        int rows = 21;
        int depth = 64;
        float[] values = numbers.normal(rows * depth);
        float[] a = new float[rows * TileKernels.ROW_STRIDE];
        float[] panels = new float[2 * rows * TileKernels.PANEL];
        for (int i = 0; i < rows; i++) {
            System.arraycopy(values, i * depth, a, i * TileKernels.ROW_STRIDE, depth);
            for (int k = 0; k < depth; k++) {
                panels[(k / 32 * rows + i) * TileKernels.PANEL + k % 32] = values[i * depth + k];
            }
        }
        Storage b = Storage.of(numbers.normal(depth * TileKernels.PANEL));
        float[] start = numbers.normal(rows * TileKernels.PANEL);
        float[] expected = start.clone();
        scalar.multiply(rows, depth, Storage.of(a), 0, b, 0, Storage.of(expected), 0, b, 0, 0);
        float[] byColumns = start.clone();
        scalar.multiplyColumns(
                rows, depth, interleaved(scalar, values, rows, depth), 3, b, 0, Storage.of(byColumns), 0);
        assertArrayEquals(expected, byColumns);
        float[] byPanels = start.clone();
        Storage w = Storage.of(panels);
        scalar.multiplyPanels(rows, depth, 32, w, 0, rows * 32, b, 0, Storage.of(byPanels), 0, 0, 0);
        assertArrayEquals(expected, byPanels);
    }

    private void multiplyPanels(TileKernels kernels, int rows, int depth, int columns) {
        int stride = 33 * TileKernels.PANEL;
        Storage a = Storage.of(numbers.normal(3 + depth / TileKernels.PANEL * stride + rows * TileKernels.PANEL));
        Storage b = Storage.of(numbers.normal(5 + depth * TileKernels.PANEL));
        float[] start = numbers.guarded(rows * TileKernels.PANEL);
        float[] expected = start.clone();
        Storage tile = copy(Storage.of(start), kernels);
        scalar.multiplyPanels(rows, depth, TileKernels.PANEL, a, 3, stride, b, 5, Storage.of(expected), 8, 0, 0);
        Storage own = copy(a, kernels);
        kernels.multiplyPanels(rows, depth, columns, own, 3, stride, copy(b, kernels), 5, tile, 8, 99, 700);
        float[] actual = new float[start.length];
        tile.read(0, actual.length, actual, 0);
        for (int i = 0; i < rows && columns < TileKernels.PANEL; i++) { // the others may have been computed or not
            int from = 8 + i * TileKernels.PANEL + columns;
            System.arraycopy(expected, from, actual, from, TileKernels.PANEL - columns);
        }
        String what = "%s, rows %d, depth %d, columns %d".formatted(kernels.description(), rows, depth, columns);
        assertArrayEquals(expected, actual, what);
        assertUnchanged(a, own, what);
    }

    private void multiplyEveryNumberOfRows(TileKernels kernels) {
        for (int rows = 0; rows <= 31; rows++) {
            for (int depth : new int[] {0, 1, 13, 31, 33, 207, TileKernels.DEPTH}) {
                Storage a = Storage.of(numbers.normal(3 + rows * TileKernels.ROW_STRIDE));
                Storage b = Storage.of(numbers.normal(5 + 2 * depth * TileKernels.PANEL + 16));
                float[] start = numbers.guarded(rows * TileKernels.PANEL);
                float[] expected = start.clone();
                float[] actual = new float[start.length];
                Storage own = copy(b, kernels);
                Storage tile = copy(Storage.of(start), kernels);
                scalar.multiply(rows, depth, a, 3, b, 5, Storage.of(expected), 8, b, 5, 0);
                kernels.multiply(rows, depth, a, 3, own, 5, tile, 8, own, 5 + depth * 32, depth * 32);
                tile.read(0, actual.length, actual, 0);
                String what = "%s, rows %d, depth %d".formatted(kernels.description(), rows, depth);
                assertArrayEquals(expected, actual, what);
                assertUnchanged(b, own, what);
            }
        }
    }

    /** Neither what is read nor what is fetched is written. */
    private static void assertUnchanged(Storage original, Storage copy, String what) {
        float[] actual = new float[original.array().length];
        copy.read(0, actual.length, actual, 0);
        assertArrayEquals(original.array(), actual, what);
    }

    private List<TileKernels> tiers() {
        List<TileKernels> tiers = new ArrayList<>(List.of(scalar, vector));
        if (EmittedSupport.disqualifier() == null) {
            tiers.add(new EmittedKernels(Width.YMM, scalar));
            tiers.add(CpuTier.EMITTED.create());
        }
        return tiers;
    }

    @Test
    void transposeBlocks() {
        for (TileKernels kernels : tiers()) {
            for (int blocks = 0; blocks <= 3; blocks++) {
                float[] source = numbers.normal(7 + blocks * 19 + 16 * 21);
                float[] target = numbers.guarded(blocks * 16 * 18);
                float[] expected = target.clone();
                for (int b = 0; b < blocks; b++) {
                    for (int i = 0; i < 16; i++) {
                        for (int j = 0; j < 16; j++) {
                            expected[8 + b * 16 * 18 + j * 18 + i] = source[7 + b * 19 + i * 21 + j];
                        }
                    }
                }
                kernels.transpose(
                        blocks, copy(Storage.of(source), kernels), 7, 21, 19, Storage.of(target), 8, 18, 16 * 18);
                assertArrayEquals(expected, target, kernels.description() + " " + blocks);
            }
        }
    }

    @Test
    void copyRowsOfBothWidths() {
        for (TileKernels kernels : tiers()) {
            for (int columns : new int[] {TileKernels.BLOCK, TileKernels.PANEL}) {
                for (int rows : new int[] {0, 1, 5}) {
                    float[] source = numbers.normal(3 + rows * 37);
                    float[] target = numbers.guarded(rows * 40);
                    float[] expected = target.clone();
                    for (int i = 0; i < rows; i++) {
                        System.arraycopy(source, 3 + i * 37, expected, 8 + i * 40, columns);
                    }
                    MemorySegment from = MemorySegment.ofArray(source);
                    kernels.copyRows(rows, columns, from, 3, 37, MemorySegment.ofArray(target), 8, 40);
                    assertArrayEquals(expected, target, kernels.description() + " " + rows + " x " + columns);
                }
            }
        }
    }

    /** To native memory: aligned rows go past the caches. */
    @Test
    void writeRowsOfBothWidths() {
        for (TileKernels kernels : tiers()) {
            for (int offset : new int[] {0, 3, 16}) {
                for (int columns : new int[] {TileKernels.BLOCK, TileKernels.PANEL}) {
                    int stride = offset + 48;
                    MemorySegment source = MemorySegment.ofArray(numbers.normal(5 * 37));
                    MemorySegment target = Arena.ofAuto().allocate(4L * (offset + 5 * stride), 64);
                    MemorySegment expected = MemorySegment.ofArray(new float[offset + 5 * stride]);
                    for (int i = 0; i < 5; i++) {
                        long to = 4L * (offset + i * stride);
                        MemorySegment.copy(source, 4L * i * 37, expected, to, 4L * columns);
                    }
                    kernels.writeRows(5, columns, source, 0, 37, target, offset, stride);
                    assertEquals(-1, expected.mismatch(target), kernels.description() + " " + offset);
                }
            }
        }
    }

    @Test
    void copyPiecesOfEveryRow() {
        for (TileKernels kernels : tiers()) {
            float[] source = numbers.normal(1000);
            float[] target = numbers.guarded(700);
            float[] expected = target.clone();
            for (int i = 0; i < 4; i++) {
                for (int piece = 0; piece < 3; piece++) {
                    System.arraycopy(source, 3 + i * 90 + piece * 20, expected, 8 + i * 16 + piece * 200, 16);
                }
            }
            MemorySegment from = MemorySegment.ofArray(source);
            kernels.copyPieces(4, 3, 16, from, 3, 90, 20, MemorySegment.ofArray(target), 8, 16, 200);
            assertArrayEquals(expected, target, kernels.description());
        }
    }

    @Test
    void copyRowsChecks() {
        TileKernels kernels = CpuTier.select(null);
        MemorySegment source = MemorySegment.ofArray(new float[64]);
        MemorySegment target = MemorySegment.ofArray(new float[64]);
        kernels.copyRows(2, 32, source, 0, 32, target, 0, 32);
        assertOutside(() -> kernels.copyRows(2, 32, source, 1, 32, target, 0, 32));
        assertOutside(() -> kernels.copyRows(2, 32, source, 0, 32, target, 0, 33));
        assertOutside(() -> kernels.copyRows(1, 16, source, -1, 32, target, 0, 32));
        kernels.copyPieces(2, 2, 16, source, 0, 32, 16, target, 0, 32, 16);
        assertOutside(() -> kernels.copyPieces(2, 2, 16, source, 0, 32, 17, target, 0, 32, 16));
        assertOutside(() -> kernels.copyPieces(2, 3, 16, source, 0, 16, 16, target, 0, 32, 16));
        MemorySegment frozen = target.asReadOnly();
        assertThrows(IllegalArgumentException.class, () -> kernels.copyRows(1, 16, source, 0, 32, frozen, 0, 32));
    }

    @Test
    void emittedTransposeChecksBounds() {
        assumeTrue(CpuTier.best() == CpuTier.EMITTED && EmittedSupport.widest() == Width.ZMM, "needs AVX-512");
        TileKernels kernels = CpuTier.select(null);
        Storage source = Storage.of(new float[16 * 20 + 16]);
        Storage target = Storage.of(new float[2 * 16 * 16]);
        kernels.transpose(2, source, 4, 20, 8, target, 0, 16, 16 * 16);
        assertOutside(() -> kernels.transpose(2, source, 13, 20, 16, target, 0, 16, 16 * 16));
        assertOutside(() -> kernels.transpose(2, source, -1, 20, 16, target, 0, 16, 16 * 16));
        assertOutside(() -> kernels.transpose(2, source, 0, 20, 16, target, 1, 16, 16 * 16));
        assertOutside(() -> kernels.transpose(3, source, 0, 20, 0, target, 0, 16, 16 * 16));
    }

    /** The same elements where the kernels keep weights; the arena is collected like an array. */
    private static Storage copy(Storage storage, TileKernels kernels) {
        int elements = storage.array().length;
        Storage copy = kernels.weights(Arena.ofAuto()).allocate(Format.F32, elements);
        copy.write(storage.array(), 0, elements, 0);
        return copy;
    }

    /** Machine code would read and write outside its arrays. */
    @Test
    void emittedChecksBounds() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        TileKernels emitted = new EmittedKernels(Width.YMM, scalar);
        Storage a = Storage.of(new float[TileKernels.ROW_STRIDE + 10]);
        Storage b = Storage.of(new float[10 * TileKernels.PANEL]);
        Storage c = Storage.of(new float[2 * TileKernels.PANEL]);
        emitted.multiply(2, 10, a, 0, b, 0, c, 0, b, 0, 99);
        assertOutside(() -> emitted.multiply(-1, 10, a, 0, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(3, 1, a, 0, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(1, TileKernels.DEPTH + 1, a, 0, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, 11, a, 0, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, -1, a, 0, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, 10, a, 1, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, 10, a, -1, b, 0, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, 10, a, 0, b, 1, c, 0, b, 0, 99));
        assertOutside(() -> emitted.multiply(2, 10, a, 0, b, 0, c, 1, b, 0, 99));
    }

    @Test
    void emittedChecksBoundsOfColumnsAndPanels() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        TileKernels emitted = new EmittedKernels(Width.YMM, scalar);
        Storage a = Storage.of(new float[10 * TileKernels.BLOCK]);
        Storage b = Storage.of(new float[10 * TileKernels.PANEL]);
        Storage c = Storage.of(new float[4 * TileKernels.PANEL]);
        emitted.multiplyColumns(4, 10, a, 0, b, 0, c, 0);
        assertOutside(() -> emitted.multiplyColumns(-1, 10, a, 0, b, 0, c, 0));
        assertOutside(() -> emitted.multiplyColumns(4, -1, a, 0, b, 0, c, 0));
        assertOutside(() -> emitted.multiplyColumns(4, 10, a, 1, b, 0, c, 0));
        assertOutside(() -> emitted.multiplyColumns(7, 10, a, 0, b, 0, c, 0));
        assertOutside(() -> emitted.multiplyColumns(5, 10, a, 0, b, 0, c, 0));
        assertOutside(() -> emitted.multiplyColumns(4, 10, a, 0, b, 1, c, 0));
        assertOutside(() -> emitted.multiplyColumns(4, 10, a, 0, b, 0, c, 1));
        Storage w = Storage.of(new float[1000 + 4 * TileKernels.PANEL]);
        Storage p = Storage.of(new float[64 * TileKernels.PANEL]);
        emitted.multiplyPanels(4, 64, 32, w, 0, 1000, p, 0, c, 0, 0, 0);
        assertOutside(() -> emitted.multiplyPanels(4, 64, 32, w, 1, 1000, p, 0, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(4, 64, 32, w, 0, 1001, p, 0, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(4, 64, 32, w, 0, -1, p, 0, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(4, 63, 32, w, 0, 1000, p, 0, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(33, 32, 32, w, 0, 1000, p, 0, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(4, 64, 32, w, 0, 1000, p, 1, c, 0, 0, 0));
        assertOutside(() -> emitted.multiplyPanels(4, 64, 32, w, 0, 1000, p, 0, c, 1, 0, 0));
    }

    private static void assertOutside(Executable call) {
        assertThrows(IndexOutOfBoundsException.class, call);
    }

    /** The scalar kernel is itself judged by double sums. */
    @Test
    void scalarMultiply() {
        int rows = 8;
        int depth = 57;
        float[] a = numbers.normal(rows * TileKernels.ROW_STRIDE);
        float[] b = numbers.normal(depth * TileKernels.PANEL);
        float[] c = numbers.normal(rows * TileKernels.PANEL);
        float[] start = c.clone();
        scalar.multiply(rows, depth, Storage.of(a), 0, Storage.of(b), 0, Storage.of(c), 0, Storage.of(b), 0, 0);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < TileKernels.PANEL; j++) {
                double sum = start[i * TileKernels.PANEL + j];
                double magnitude = Math.abs(sum);
                for (int k = 0; k < depth; k++) {
                    double term = (double) a[i * TileKernels.ROW_STRIDE + k] * b[k * TileKernels.PANEL + j];
                    sum += term;
                    magnitude += Math.abs(term);
                }
                assertEquals(sum, c[i * TileKernels.PANEL + j], (depth + 1) * 0x1p-24 * magnitude);
            }
        }
    }
}
