package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** The kernels that only block products use, against plain products and copies, bit for bit, between guard elements that must not change. */
class BlockKernelsTest {

    private static final int PANEL = TileKernels.PANEL;

    private final TileKernels scalar = CpuTier.SCALAR.create();
    private final RandomNumbers numbers = new RandomNumbers(11);

    private List<TileKernels> tiers() {
        List<TileKernels> tiers = new ArrayList<>(List.of(CpuTier.VECTOR.create()));
        tiers.addAll(emitted());
        return tiers;
    }

    private List<TileKernels> emitted() {
        List<TileKernels> tiers = new ArrayList<>();
        if (EmittedSupport.disqualifier() == null) {
            tiers.add(new EmittedKernels(Width.YMM, scalar));
            if (EmittedSupport.widest() == Width.ZMM) {
                tiers.add(new EmittedKernels(Width.ZMM, scalar));
            }
        }
        return tiers;
    }

    /** Rows, a panel and a tile, and the product of scalar code. */
    private final class Factors {
        final int rows;
        final int depth;
        final Storage a;
        final Storage b;
        final float[] start;
        final float[] expected;

        Factors(int rows, int depth) {
            this.rows = rows;
            this.depth = depth;
            a = Storage.of(numbers.normal(3 + rows * TileKernels.ROW_STRIDE));
            b = Storage.of(numbers.normal(5 + depth * PANEL));
            start = numbers.guarded(rows * PANEL);
            expected = start.clone();
            scalar.multiply(rows, depth, a, 3, b, 5, Storage.of(expected), 8, b, 0, 0);
        }
    }

    /** What is fetched lies anywhere, also outside of its memory, and changes nothing. */
    @Test
    void multiplyFetchingRows() {
        Matrix memory = Matrix.of(numbers.normal(4000), 40, 100);
        for (TileKernels kernels : tiers()) {
            for (int rows = 0; rows <= kernels.interleavedRows(); rows++) {
                for (int depth : new int[] {0, 1, 7, 64, 97}) {
                    Factors factors = new Factors(rows, depth);
                    for (int fetched : new int[] {0, 1, 8, 40, 200}) {
                        Ahead ahead = new Ahead();
                        ahead.set(memory, 3, 100, fetched, 77);
                        kernels.fetch(ahead);
                        float[] tile = factors.start.clone();
                        kernels.multiply(rows, depth, factors.a, 3, factors.b, 5, Storage.of(tile), 8, ahead);
                        assertArrayEquals(
                                factors.expected, tile, "%s: %d, %d".formatted(kernels.description(), rows, depth));
                    }
                }
            }
        }
    }

    @Test
    void multiplyCopyingRows() {
        for (TileKernels kernels : tiers()) {
            for (int rows = 0; rows <= kernels.interleavedRows(); rows++) {
                for (int depth : new int[] {0, 1, 12, 13, 97}) {
                    for (int panels = 1; panels <= 3; panels++) {
                        multiplyCopyingRows(kernels, new Factors(rows, depth), 4, panels);
                    }
                }
                multiplyCopyingRows(kernels, new Factors(rows, TileKernels.DEPTH), 1, 1);
            }
        }
    }

    private void multiplyCopyingRows(TileKernels kernels, Factors factors, int copied, int panels) {
        int stride = panels * PANEL + 13;
        Matrix source = Matrix.of(numbers.normal(7 + copied * stride), 1, 7 + copied * stride);
        int panel = copied * PANEL + 5; // from one panel to the next
        float[] target = numbers.guarded(panels * panel);
        float[] expected = target.clone();
        for (int row = 0; row < copied; row++) {
            for (int p = 0; p < panels; p++) {
                int to = 8 + p * panel + row * PANEL;
                Rows.read(source, 0, 7 + row * stride + p * PANEL, PANEL, expected, to);
            }
        }
        Ahead rows = new Ahead();
        rows.set(source, 7, stride, copied, panels * PANEL);
        float[] tile = factors.start.clone();
        kernels.multiply(
                factors.rows,
                factors.depth,
                factors.a,
                3,
                factors.b,
                5,
                Storage.of(tile),
                8,
                rows,
                panels,
                Storage.of(target),
                8,
                panel);
        String message = "%s: %d, %d, %d".formatted(kernels.description(), factors.rows, factors.depth, panels);
        assertArrayEquals(factors.expected, tile, message);
        assertArrayEquals(expected, target, message);
    }

    @Test
    void updateRowsOfMatrices() {
        for (TileKernels kernels : emitted()) {
            for (int rows = 0; rows <= kernels.interleavedRows(); rows++) {
                for (int depth : new int[] {2, 3, 14, 15, 97}) {
                    updateRows(kernels, rows, depth, true);
                    updateRows(kernels, rows, depth, false);
                }
            }
        }
    }

    private void updateRows(TileKernels kernels, int rows, int depth, boolean accumulate) {
        int stride = PANEL + 21;
        Storage a = Storage.of(numbers.normal(3 + depth * TileKernels.BLOCK));
        Storage b = Storage.of(numbers.normal(5 + depth * PANEL));
        float[] actual = numbers.guarded(Math.max(0, rows - 1) * stride + (rows > 0 ? PANEL : 0));
        float[] expected = actual.clone();
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < PANEL; j++) {
                int at = 8 + i * stride + j;
                float sum = accumulate ? expected[at] : 0f;
                for (int k = 0; k < depth; k++) {
                    sum = Math.fma(a.array()[3 + k * TileKernels.BLOCK + i], b.array()[5 + k * PANEL + j], sum);
                }
                expected[at] = sum;
                actual[at] = accumulate ? actual[at] : Float.NaN;
            }
        }
        kernels.updateMatrix(rows, depth, a, 3, b, 5, accumulate, MemorySegment.ofArray(actual), 8, stride, 1000);
        assertArrayEquals(expected, actual, "%s: %d, %d".formatted(kernels.description(), rows, depth));
    }

    @Test
    void emittedChecksBounds() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        TileKernels emitted = new EmittedKernels(Width.YMM, scalar);
        Storage a = Storage.of(new float[2 * TileKernels.ROW_STRIDE]);
        Storage b = Storage.of(new float[40 * PANEL]);
        Storage c = Storage.of(new float[2 * PANEL]);
        MemorySegment matrix = MemorySegment.ofArray(new float[100]);
        emitted.updateMatrix(2, 40, a, 0, b, 0, true, matrix, 0, 68, 0);
        assertOutside(() -> emitted.updateMatrix(2, 40, a, 0, b, 0, true, matrix, 1, 68, 0));
        assertOutside(() -> emitted.updateMatrix(2, 40, a, 0, b, 0, true, matrix, 0, 69, 0));
        assertOutside(() -> emitted.updateMatrix(2, 40, a, 0, b, 1, true, matrix, 0, 68, 0));
        assertOutside(() -> emitted.updateMatrix(2, 40, a, 1500, b, 0, true, matrix, 0, 68, 0));
        assertOutside(() -> emitted.updateMatrix(2, 1, a, 0, b, 0, true, matrix, 0, 68, 0));
        assertOutside(() -> emitted.updateMatrix(7, 40, a, 0, b, 0, true, matrix, 0, 1, 0));
        MemorySegment frozen = matrix.asReadOnly();
        assertThrows(
                IllegalArgumentException.class, () -> emitted.updateMatrix(2, 40, a, 0, b, 0, true, frozen, 0, 68, 0));
        Ahead rows = new Ahead();
        rows.set(Matrix.of(new float[100], 1, 100), 0, 68, 2, PANEL);
        emitted.multiply(2, 40, a, 0, b, 0, c, 0, rows, 1, c, 0, 2 * PANEL);
        assertOutside(() -> emitted.multiply(2, 40, a, 0, b, 0, c, 1, rows, 1, c, 0, 2 * PANEL));
        assertOutside(() -> emitted.multiply(2, 40, a, 0, b, 0, c, 0, rows, 1, c, 1, 2 * PANEL));
        assertOutside(() -> emitted.multiply(2, 40, a, 0, b, 0, c, 0, rows, 2, b, 0, 64));
        assertOutside(() -> emitted.multiply(7, 40, a, 0, b, 0, c, 0, rows));
        assertOutside(() -> emitted.multiply(2, 40, a, TileKernels.ROW_STRIDE, b, 0, c, 0, rows));
    }

    private static void assertOutside(Executable call) {
        assertThrows(IndexOutOfBoundsException.class, call);
    }
}
