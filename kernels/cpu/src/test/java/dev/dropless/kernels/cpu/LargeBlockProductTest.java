package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Block products beyond the terms and panels that are packed at once: all tiers and numbers of threads give the same bits. */
class LargeBlockProductTest {

    private static final int EXPERTS = 3;

    private final Arena arena = Arena.ofAuto();
    private final Random random = new Random(13);

    private Matrix normal(ElementType type, long rows, long columns) {
        Matrix result = Matrix.allocate(arena, type, rows, columns);
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < columns; j++) {
                result.set(i, j, (float) random.nextGaussian());
            }
        }
        return result;
    }

    /** An expert with many rows, one with few, one with none. */
    private static Topology topology(int rows) {
        int[] ids = new int[rows];
        for (int i = 0; i < rows; i++) {
            ids[i] = i % 13 == 5 ? 2 : 0;
        }
        return Topology.of(ids, 1, EXPERTS);
    }

    @Test
    void smallBlocks() {
        assertTiersAgree(16, 350, 1061, 48, ElementType.F32);
    }

    @Test
    void largeBlocks() {
        assertTiersAgree(128, 360, 1061, 160, ElementType.F32);
    }

    @Test
    void bfloat16() {
        assertTiersAgree(32, 350, 1040, 96, ElementType.BF16);
    }

    private void assertTiersAgree(int blockSize, int rows, int hiddenSize, int ffnHiddenSize, ElementType type) {
        MoeBlockPattern pattern = MoeBlockPattern.exact(topology(rows), blockSize, ffnHiddenSize);
        Matrix x = normal(type, rows, hiddenSize);
        Matrix xt = normal(type, hiddenSize, rows);
        Matrix w = normal(type, hiddenSize, pattern.columns());
        Matrix wt = normal(type, pattern.columns(), hiddenSize);
        BlockSparseMatrix s = new BlockSparseMatrix(pattern, normal(type, 1, pattern.elements()));
        List<float[]> expected = products(x, xt, w, wt, s, CpuTier.SCALAR.create(), 2);
        for (TileKernels tier : tiers()) {
            for (int threads = 1; threads <= 2; threads++) {
                List<float[]> actual = products(x, xt, w, wt, s, tier, threads);
                for (int i = 0; i < expected.size(); i++) {
                    assertArrayEquals(expected.get(i), actual.get(i), tier.description() + " " + i);
                }
            }
        }
        for (float[] values : expected) {
            for (float value : values) {
                assertTrue(Float.isFinite(value));
            }
        }
    }

    private static List<TileKernels> tiers() {
        List<TileKernels> tiers = new ArrayList<>(List.of(CpuTier.VECTOR.create()));
        if (EmittedSupport.disqualifier() == null) {
            tiers.add(new EmittedKernels(Width.YMM, CpuTier.VECTOR.create()));
            tiers.add(CpuTier.EMITTED.create());
        }
        return tiers;
    }

    /** Every operation with every transposition of its operands. */
    private List<float[]> products(
            Matrix x, Matrix xt, Matrix w, Matrix wt, BlockSparseMatrix s, TileKernels tier, int threads) {
        List<float[]> results = new ArrayList<>();
        try (Kernels kernels = new CpuKernels(tier, threads)) {
            BlockSparseKernels blocks = kernels.blockSparse();
            for (Transpose ta : Transpose.values()) {
                for (Transpose tb : Transpose.values()) {
                    Matrix left = ta == Transpose.N ? x : xt;
                    Matrix right = tb == Transpose.N ? w : wt;
                    BlockSparseMatrix sampled = BlockSparseMatrix.allocate(
                            arena, s.pattern(), s.data().type());
                    sampled.data().fill(Double.NaN);
                    blocks.sdd(left, ta, right, tb, sampled);
                    results.add(floats(sampled.data()));
                    Matrix dense = start(x.rows(), w.columns(), false);
                    blocks.gemm(left, ta, right, tb, dense, false);
                    results.add(floats(dense));
                }
            }
            for (boolean accumulate : new boolean[] {false, true}) {
                for (Transpose tb : Transpose.values()) {
                    Matrix down = tb == Transpose.N ? wt : w;
                    Matrix c = start(x.rows(), x.columns(), accumulate);
                    blocks.dsd(s, Transpose.N, down, tb, c, accumulate);
                    results.add(floats(c));
                    Matrix rows = tb == Transpose.N ? x : xt;
                    Matrix gradient = start(w.columns(), x.columns(), accumulate);
                    blocks.dsd(s, Transpose.T, rows, tb, gradient, accumulate);
                    results.add(floats(gradient));
                    Matrix across = start(x.columns(), w.columns(), accumulate);
                    blocks.dds(tb == Transpose.N ? xt : x, tb, s, Transpose.N, across, accumulate);
                    results.add(floats(across));
                    Matrix back = start(x.columns(), x.rows(), accumulate);
                    blocks.dds(tb == Transpose.N ? w : wt, tb, s, Transpose.T, back, accumulate);
                    results.add(floats(back));
                }
            }
        }
        return results;
    }

    /** NaN, or numbers to be added to. Rows do not begin at cache lines. */
    private Matrix start(long rows, long columns, boolean accumulate) {
        Matrix c = Matrix.allocate(arena, ElementType.F32, rows, columns + 3).sliceColumns(3, columns);
        c.fill(accumulate ? 1.5 : Double.NaN);
        return c;
    }

    private static float[] floats(Matrix matrix) {
        float[] values = new float[Math.toIntExact(matrix.rows() * matrix.columns())];
        for (int i = 0; i < matrix.rows(); i++) {
            Rows.read(matrix, i, 0, (int) matrix.columns(), values, (int) (i * matrix.columns()));
        }
        return values;
    }
}
