package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Sizes beyond one block of rows, the terms that are packed at once and one group of panels, where the cutting of the work shows; small problems are in the contract. */
class LargeProblemTest {

    private static final int TOKENS = 233;
    private static final int TOP_K = 2;
    private static final int EXPERTS = 3;

    /** Most rows in expert 0, one expert without any, some slots unassigned. */
    private static Topology topology(int tokens) {
        Random random = new Random(3);
        int[] ids = new int[tokens * TOP_K];
        for (int t = 0; t < tokens; t++) {
            ids[2 * t] = random.nextInt(5) == 0 ? Topology.UNASSIGNED : 0;
            ids[2 * t + 1] = random.nextInt(7) == 0 ? 2 : Topology.UNASSIGNED;
        }
        return Topology.of(ids, TOP_K, EXPERTS);
    }

    /** Eleven experts of some fifty rows and others of fifteen. */
    private static Topology skewed(int experts, int tokens) {
        int[] ids = new int[tokens * TOP_K];
        for (int t = 0; t < tokens; t++) {
            ids[2 * t] = t % 11;
            ids[2 * t + 1] = 11 + t % (experts - 11);
        }
        return Topology.of(ids, TOP_K, experts);
    }

    private static Matrix normal(Random random, double scale, long rows, long columns) {
        float[] values = new float[Math.toIntExact(rows * columns)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (scale * random.nextGaussian());
        }
        return Matrix.of(values, rows, columns);
    }

    private static Matrix poisoned(long rows, long columns) {
        Matrix matrix = Matrix.of(new float[Math.toIntExact(rows * columns)], rows, columns);
        matrix.fill(Double.NaN);
        return matrix;
    }

    /** Forward and backward; every output in order. */
    private static List<float[]> layer(ExpertShape shape, int tokens, ElementType type, TileKernels tile, int threads) {
        Random random = new Random(5);
        int numExperts = shape.numExperts();
        Topology topology = numExperts == EXPERTS ? topology(tokens) : skewed(numExperts, tokens);
        int n = topology.rows();
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        Activation activation = Activation.of(Activation.Function.SILU);
        try (Kernels kernels = new CpuKernels(tile, threads);
                ExpertWeights weights = kernels.experts().allocate(shape, type);
                ExpertWeights gradients = kernels.experts().allocate(shape, ElementType.F32);
                ExpertPlan plan = kernels.experts().plan(topology)) {
            for (WeightPart part : WeightPart.values()) {
                for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                    weights.load(part, e, normal(random, 0.03, shape.rows(part), shape.columns(part)), Transpose.N);
                }
            }
            ExpertKernels experts = kernels.experts();
            Matrix x = as(type, normal(random, 1, tokens, h));
            Matrix dY = as(type, normal(random, 1, tokens, h));
            Matrix w = normal(random, 1, tokens, TOP_K);
            Matrix pre = as(type, poisoned(n, 2L * f));
            Matrix hidden = as(type, poisoned(n, f));
            Matrix out = poisoned(n, h);
            Matrix y = poisoned(tokens, h);
            Matrix dPre = as(type, poisoned(n, 2L * f));
            Matrix dRows = poisoned(n, h);
            Matrix dX = poisoned(tokens, h);
            Matrix dW = poisoned(tokens, TOP_K);
            Matrix dV = poisoned(tokens, TOP_K);
            experts.up(plan, x, w, weights, activation, pre, hidden);
            experts.down(plan, hidden, weights, out);
            experts.combine(plan, out, w, y, false);
            experts.downDgrad(plan, dY, w, weights, activation, pre, hidden, false, dPre, dW);
            experts.downWgrad(plan, hidden, dY, w, gradients);
            experts.upDgrad(plan, dPre, weights, dRows);
            experts.upWgrad(plan, x, w, dPre, gradients);
            experts.aggregate(plan, dRows, w, x, dX, false, dV);
            List<float[]> results = new ArrayList<>();
            for (Matrix matrix : List.of(pre, hidden, out, y, dPre, dRows, dX, dW, dV)) {
                results.add(floats(matrix));
            }
            gradients.storage().forEach(matrix -> results.add(floats(matrix)));
            return results;
        }
    }

    private static Matrix as(ElementType type, Matrix values) {
        if (type == ElementType.F32) {
            return values;
        }
        Matrix result = Matrix.allocate(Arena.ofAuto(), type, values.rows(), values.columns());
        for (long i = 0; i < values.rows(); i++) {
            for (long j = 0; j < values.columns(); j++) {
                result.set(i, j, values.get(i, j));
            }
        }
        return result;
    }

    private static float[] floats(Matrix matrix) {
        float[] values = new float[Math.toIntExact(matrix.rows() * matrix.columns())];
        for (int i = 0; i < matrix.rows(); i++) {
            Rows.read(matrix, i, 0, (int) matrix.columns(), values, (int) (i * matrix.columns()));
        }
        return values;
    }

    @Test
    void wideTokens() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 2083, 35, true, true, true), TOKENS);
    }

    @Test
    void wideExperts() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 35, 1061, true, true, true), TOKENS);
    }

    /** Panels that are moved apart. */
    @Test
    void sizesOfManyCacheSets() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 256, 512, true, true, true), 71);
    }

    @Test
    void manyTokens() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 33, 17, true, true, true), 2700);
    }

    /** Experts of few rows are computed in turn with those of many. */
    @Test
    void expertsOfFewAndOfManyRows() {
        assertTiersAndThreadCountsAgree(new ExpertShape(48, 1100, 35, true, true, true), 560);
    }

    /** Experts whose finished tiles go through the activation to memory in one pass, but for the last columns. */
    @Test
    void expertsWithoutBias() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 95, 85, true, false, false), 71);
    }

    private static void assertTiersAndThreadCountsAgree(ExpertShape shape, int tokens) {
        assertTiersAndThreadCountsAgree(shape, tokens, ElementType.F32);
    }

    /** Rows of an even number of bfloat16 are multiplied by pairs where that is faster, and in one test where not. */
    @Test
    void bfloat16() {
        assertTiersAndThreadCountsAgree(new ExpertShape(EXPERTS, 1062, 94, true, true, true), TOKENS, ElementType.BF16);
    }

    private static void assertTiersAndThreadCountsAgree(ExpertShape shape, int tokens, ElementType type) {
        List<float[]> expected = layer(shape, tokens, type, CpuTier.SCALAR.create(), 2);
        for (float[] values : expected) {
            for (float value : values) {
                assertTrue(Float.isFinite(value));
            }
        }
        for (TileKernels tier : tiers()) {
            for (int threads = 1; threads <= 3; threads++) {
                List<float[]> actual = layer(shape, tokens, type, tier, threads);
                for (int i = 0; i < expected.size(); i++) {
                    assertArrayEquals(
                            expected.get(i), actual.get(i), tier.description() + " " + i + ", " + threads + " threads");
                }
            }
        }
    }

    private static List<TileKernels> tiers() {
        List<TileKernels> tiers = new ArrayList<>();
        tiers.add(CpuTier.VECTOR.create());
        if (EmittedSupport.disqualifier() == null) {
            tiers.add(new EmittedKernels(Width.YMM, CpuTier.VECTOR.create()));
            tiers.add(CpuTier.EMITTED.create());
            if (EmittedSupport.hasPairs()) {
                tiers.add(new EmittedKernels(Width.ZMM, CpuTier.VECTOR.create(), true));
            }
        }
        return tiers;
    }

    @Test
    void denseProductOfAllTranspositions() {
        int m = 207;
        int depth = 2300;
        int n = 331;
        Random random = new Random(9);
        Matrix a = normal(random, 1, m, depth);
        Matrix b = normal(random, 1, depth, n);
        Matrix at = transposed(a);
        Matrix bt = transposed(b);
        float[] av = floats(a);
        float[] bv = floats(bt);
        Matrix c = poisoned(m, n);
        try (Kernels kernels = new CpuKernels(CpuTier.VECTOR.create(), 2)) {
            kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.N, c, false);
            for (int i = 0; i < m; i++) {
                for (int j = 0; j < n; j++) {
                    double sum = 0;
                    for (int k = 0; k < depth; k++) {
                        sum += (double) av[i * depth + k] * bv[j * depth + k];
                    }
                    assertEquals(sum, c.get(i, j), depth * 0x1p-24 * 20);
                }
            }
            for (Transpose ta : Transpose.values()) {
                for (Transpose tb : Transpose.values()) {
                    Matrix again = poisoned(m, n);
                    kernels.blockSparse()
                            .gemm(ta == Transpose.N ? a : at, ta, tb == Transpose.N ? b : bt, tb, again, false);
                    assertArrayEquals(floats(c), floats(again), ta + " " + tb);
                }
            }
        }
    }

    private static Matrix transposed(Matrix matrix) {
        Matrix result = poisoned(matrix.columns(), matrix.rows());
        for (long i = 0; i < matrix.rows(); i++) {
            for (long j = 0; j < matrix.columns(); j++) {
                result.set(j, i, matrix.get(i, j));
            }
        }
        return result;
    }
}
