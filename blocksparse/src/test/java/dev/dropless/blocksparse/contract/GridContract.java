package dev.dropless.blocksparse.contract;

import static dev.dropless.blocksparse.Transpose.N;
import static dev.dropless.blocksparse.Transpose.T;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.BcsrPattern;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * The parameter grids by which STK and grouped_gemm are tested, sizes divided by {@link #gridScale} (block size 128
 * there, 128 / scale here). Results are
 * checked at sampled elements, each against its own sum in double precision.
 */
abstract class GridContract extends ContractSupport {

    private static final int SAMPLES = 200;

    /** m, k, n, sparsity. */
    private static final double[][] STK = {
        {128, 128, 128, 0},
        {256, 256, 256, .5},
        {2048, 1024, 512, .8},
        {512, 128, 128, 0},
        {128, 128, 512, 0},
        {1024, 512, 512, 0},
        {1024, 512, 512, .5},
        {1024, 512, 512, .75},
        {512, 512, 1024, 0},
        {512, 512, 1024, .5},
        {512, 512, 1024, .75},
        {1024, 1024, 1024, 0},
        {1024, 1024, 1024, .5},
        {1024, 1024, 1024, .75},
    };

    private List<ElementType> narrowTypes() {
        return types().stream().filter(type -> type.bytes() == 2).toList();
    }

    private PatternCase pattern(int rows, int columns, double sparsity) {
        int block = 128 / gridScale();
        int blockRows = rows / 128;
        int blockColumns = columns / 128;
        boolean[] mask = new boolean[blockRows * blockColumns];
        int wanted = (int) Math.round(mask.length * (1 - sparsity));
        for (int placed = 0; placed < wanted; ) {
            int place = random.nextInt(mask.length);
            if (!mask[place]) {
                mask[place] = true;
                placed++;
            }
        }
        return new PatternCase(
                rows + " x " + columns + " sparsity " + sparsity,
                BcsrPattern.ofMask(blockRows, blockColumns, block, mask));
    }

    /** Normal values with standard deviation 0.1, stored transposed if so asked. */
    private Operand operand(ElementType type, int rows, int columns, Transpose transpose) {
        Operand operand = transpose == N ? input(type, rows, columns, false) : input(type, columns, rows, false);
        operand.fill(() -> 0.1 * random.nextGaussian());
        return operand;
    }

    private static double[][] values(Operand operand, Transpose transpose) {
        return Product.op(operand.read(), (int) operand.matrix().columns(), transpose);
    }

    /** Checks found (as stored) = op(left * right) at random elements, where the mask allows. */
    private void assertSampled(
            double[][] left,
            double[][] right,
            Transpose transpose,
            double[][] found,
            boolean[][] mask,
            ElementType type,
            String what) {
        assertEquals(transpose == N ? left.length : right[0].length, found.length, what);
        for (int sample = 0; sample < SAMPLES; sample++) {
            int i = random.nextInt(left.length);
            int j = random.nextInt(right[0].length);
            double sum = 0;
            double magnitude = 0;
            if (mask.length == 0 || mask[i][j]) {
                for (int l = 0; l < right.length; l++) {
                    sum += left[i][l] * right[l][j];
                    magnitude += Math.abs(left[i][l] * right[l][j]);
                }
            }
            double actual = transpose == N ? found[i][j] : found[j][i];
            double bound = bound(sum, magnitude, right.length, type);
            assertTrue(
                    Math.abs(actual - sum) <= bound,
                    "%s (%d,%d): expected %s +- %.2e, found %s".formatted(what, i, j, sum, bound, actual));
        }
    }

    private static double[][] ones(int rows, int columns) {
        double[][] ones = new double[rows][columns];
        for (double[] row : ones) {
            Arrays.fill(row, 1);
        }
        return ones;
    }

    /** Everything of STK's linear tests for one product: operands, and upstream gradients of ones. */
    private interface GridTest {
        void run(ElementType type, int m, int k, int n, double sparsity, Transpose first, Transpose second);
    }

    private void forEachStkCase(GridTest test) {
        for (double[] size : STK) {
            for (Transpose first : Transpose.values()) {
                for (Transpose second : Transpose.values()) {
                    for (ElementType type : narrowTypes()) {
                        test.run(type, (int) size[0], (int) size[1], (int) size[2], size[3], first, second);
                    }
                }
            }
        }
    }

    /** The gradient of op(A) by A as stored: dA = dC op(B)^T, transposed if A is. */
    @Test
    void sddForwardAndBackward() {
        BlockSparseKernels kernels = kernels().blockSparse();
        forEachStkCase((type, m, k, n, sparsity, ta, tb) -> {
            PatternCase test = pattern(m, n, sparsity);
            int inner = k / gridScale();
            Operand a = operand(type, test.rows(), inner, ta);
            Operand b = operand(type, inner, test.columns(), tb);
            Operand s = output(type, 1, test.pattern().elements(), false);
            kernels.sdd(a.matrix(), ta, b.matrix(), tb, sparse(test.pattern(), s));
            double[][] left = values(a, ta);
            double[][] right = values(b, tb);
            String what = "sdd " + test + " inner " + inner + " " + ta + tb + " " + type;
            boolean[][] stored = test.stored();
            assertSampled(left, right, N, test.dense(s.read()), stored, type, what);

            s.fill(() -> 1);
            double[][] upstream = test.dense(s.read());
            Operand dA = output(type, a.matrix().rows(), a.matrix().columns(), false);
            if (ta == N) {
                kernels.dsd(sparse(test.pattern(), s), N, b.matrix(), tb.flip(), dA.matrix(), false);
            } else {
                kernels.dds(b.matrix(), tb, sparse(test.pattern(), s), T, dA.matrix(), false);
            }
            assertSampled(upstream, Product.op(right, test.columns(), T), ta, dA.read(), NO_MASK, type, what + " dA");
            Operand dB = output(type, b.matrix().rows(), b.matrix().columns(), false);
            if (tb == N) {
                kernels.dds(a.matrix(), ta.flip(), sparse(test.pattern(), s), N, dB.matrix(), false);
            } else {
                kernels.dsd(sparse(test.pattern(), s), T, a.matrix(), ta, dB.matrix(), false);
            }
            assertSampled(Product.op(left, inner, T), upstream, tb, dB.read(), NO_MASK, type, what + " dB");
        });
    }

    private static final boolean[][] NO_MASK = {};

    @Test
    void dsdForwardAndBackward() {
        BlockSparseKernels kernels = kernels().blockSparse();
        forEachStkCase((type, m, k, n, sparsity, ts, tb) -> {
            PatternCase test = ts == N ? pattern(m, k, sparsity) : pattern(k, m, sparsity);
            int columns = n / gridScale();
            int inner = ts == N ? test.columns() : test.rows();
            int rows = ts == N ? test.rows() : test.columns();
            Operand s = operand(type, 1, (int) test.pattern().elements(), N);
            Operand b = operand(type, inner, columns, tb);
            Operand c = output(type, rows, columns, false);
            kernels.dsd(sparse(test.pattern(), s), ts, b.matrix(), tb, c.matrix(), false);
            double[][] left = Product.op(test.dense(s.read()), test.columns(), ts);
            double[][] right = values(b, tb);
            String what = "dsd " + test + " columns " + columns + " " + ts + tb + " " + type;
            assertSampled(left, right, N, c.read(), NO_MASK, type, what);

            c.fill(() -> 1);
            double[][] upstream = ones(rows, columns);
            Operand dS = output(type, 1, test.pattern().elements(), false);
            if (ts == N) {
                kernels.sdd(c.matrix(), N, b.matrix(), tb.flip(), sparse(test.pattern(), dS));
            } else {
                kernels.sdd(b.matrix(), tb, c.matrix(), T, sparse(test.pattern(), dS));
            }
            double[][] rightTransposed = Product.op(right, columns, T);
            boolean[][] stored = Masks.op(test.stored(), ts);
            assertSampled(upstream, rightTransposed, ts, test.dense(dS.read()), stored, type, what + " dS");
            Operand dB = output(type, b.matrix().rows(), b.matrix().columns(), false);
            if (tb == N) {
                kernels.dsd(sparse(test.pattern(), s), ts.flip(), c.matrix(), N, dB.matrix(), false);
            } else {
                kernels.dds(c.matrix(), T, sparse(test.pattern(), s), ts, dB.matrix(), false);
            }
            assertSampled(Product.op(left, inner, T), upstream, tb, dB.read(), NO_MASK, type, what + " dB");
        });
    }

    @Test
    void ddsForwardAndBackward() {
        BlockSparseKernels kernels = kernels().blockSparse();
        forEachStkCase((type, m, k, n, sparsity, ta, ts) -> {
            PatternCase test = ts == N ? pattern(k, n, sparsity) : pattern(n, k, sparsity);
            int rows = m / gridScale();
            int inner = ts == N ? test.rows() : test.columns();
            int columns = ts == N ? test.columns() : test.rows();
            Operand a = operand(type, rows, inner, ta);
            Operand s = operand(type, 1, (int) test.pattern().elements(), N);
            Operand c = output(type, rows, columns, false);
            kernels.dds(a.matrix(), ta, sparse(test.pattern(), s), ts, c.matrix(), false);
            double[][] left = values(a, ta);
            double[][] right = Product.op(test.dense(s.read()), test.columns(), ts);
            String what = "dds " + test + " rows " + rows + " " + ta + ts + " " + type;
            assertSampled(left, right, N, c.read(), NO_MASK, type, what);

            c.fill(() -> 1);
            double[][] upstream = ones(rows, columns);
            Operand dA = output(type, a.matrix().rows(), a.matrix().columns(), false);
            if (ta == N) {
                kernels.dds(c.matrix(), N, sparse(test.pattern(), s), ts.flip(), dA.matrix(), false);
            } else {
                kernels.dsd(sparse(test.pattern(), s), ts, c.matrix(), T, dA.matrix(), false);
            }
            assertSampled(upstream, Product.op(right, columns, T), ta, dA.read(), NO_MASK, type, what + " dA");
            Operand dS = output(type, 1, test.pattern().elements(), false);
            if (ts == N) {
                kernels.sdd(a.matrix(), ta.flip(), c.matrix(), N, sparse(test.pattern(), dS));
            } else {
                kernels.sdd(c.matrix(), T, a.matrix(), ta, sparse(test.pattern(), dS));
            }
            boolean[][] stored = Masks.op(test.stored(), ts);
            double[][] leftTransposed = Product.op(left, inner, T);
            assertSampled(leftTransposed, upstream, ts, test.dense(dS.read()), stored, type, what + " dS");
        });
    }

    /**
     * The grouped product of rows sorted by expert is the down-projection; its gradients follow with the identity as
     * activation.
     */
    @Test
    void groupedGemmForwardAndBackward() {
        int scale = Math.max(1, gridScale() / 2);
        for (int numExperts : new int[] {1, 8, 16}) {
            for (int[] size : new int[][] {{128, 128, 128}, {128, 256, 512}}) {
                for (Transpose transpose : Transpose.values()) {
                    for (boolean fixed : new boolean[] {true, false}) {
                        int rows = size[0] / scale;
                        int[] loads = fixed ? fixedLoads(numExperts, rows) : variableLoads(numExperts, rows);
                        grouped(loads, size[1] / scale, size[2] / scale, transpose);
                    }
                }
            }
        }
        int[] withEmpty = {219, 2246, 5, 8103, 1, 1117, 4693, 0};
        grouped(Arrays.stream(withEmpty).map(n -> Math.ceilDiv(n, 8 * scale)).toArray(), 64, 56, N);
    }

    private static int[] fixedLoads(int numExperts, int rows) {
        int[] loads = new int[numExperts];
        Arrays.fill(loads, rows);
        return loads;
    }

    /** Random fractions of one expert's share, the remainder to the last: heavily skewed. */
    private int[] variableLoads(int numExperts, int rows) {
        int[] loads = new int[numExperts];
        int left = numExperts * rows;
        for (int e = 0; e < numExperts - 1; e++) {
            loads[e] = (int) (2 * random.nextDouble() * rows / numExperts);
            left -= loads[e];
        }
        loads[numExperts - 1] = left;
        return loads;
    }

    private void grouped(int[] loads, int inner, int columns, Transpose transpose) {
        ElementType type = types().contains(ElementType.BF16) ? ElementType.BF16 : exactType();
        ElementType weightType =
                weightTypes().contains(type) ? type : weightTypes().getFirst();
        Topology topology = PatternCase.sorted(loads);
        ExpertShape shape = new ExpertShape(loads.length, columns, inner, false, false, false);
        ExpertKernels experts = kernels().experts();
        String what = Arrays.toString(loads) + " inner " + inner + " columns " + columns + " " + transpose;
        try (ExpertPlan plan = experts.plan(topology);
                ExpertWeights weights = experts.allocate(shape, weightType);
                ExpertWeights gradients = experts.allocate(shape, weightType)) {
            for (int e = 0; e < loads.length; e++) {
                double[][] values = ExpertProblem.matrix(inner, columns, random::nextGaussian);
                double[][] source = Product.op(values, columns, transpose);
                weights.load(WeightPart.DOWN, e, ExpertRun.host(source, source[0].length), transpose);
            }
            Operand a = input(type, topology.rows(), inner, false);
            Operand dC = input(type, topology.rows(), columns, false);
            Operand c = output(type, topology.rows(), columns, false);
            Operand dA = output(type, topology.rows(), inner, false);
            experts.down(plan, a.matrix(), weights, c.matrix());
            Activation identity = Activation.of(Activation.Function.IDENTITY);
            Matrix pre = input(type, topology.rows(), inner, false).matrix();
            experts.downDgrad(plan, dC.matrix(), null, weights, identity, pre, a.matrix(), false, dA.matrix(), null);
            experts.downWgrad(plan, a.matrix(), dC.matrix(), null, gradients);
            for (int e = 0; e < loads.length; e++) {
                int from = topology.offset(e);
                int to = topology.offset(e + 1);
                double[][] left = Arrays.copyOfRange(a.read(), from, to);
                double[][] d = Arrays.copyOfRange(dC.read(), from, to);
                double[][] b = ExpertRun.store(weights, WeightPart.DOWN, e);
                double[][] db = ExpertRun.store(gradients, WeightPart.DOWN, e);
                if (from == to) {
                    assertSame(new double[inner][columns], db, what + " gradient of an empty expert");
                    continue;
                }
                assertSampled(left, b, N, Arrays.copyOfRange(c.read(), from, to), NO_MASK, type, what + " c");
                double[][] bt = Product.op(b, columns, T);
                assertSampled(d, bt, N, Arrays.copyOfRange(dA.read(), from, to), NO_MASK, type, what + " da");
                assertSampled(Product.op(left, inner, T), d, N, db, NO_MASK, weightType, what + " db");
            }
        }
    }

    /**
     * A product whose summed dimension is empty for some experts: their gradients are exactly zero, the others' exactly
     * their loads.
     */
    @Test
    void gradientsOfExpertsWithoutRowsAreExactlyZero() {
        int[] loads = {0, 128, 0, 64};
        ExpertKernels experts = kernels().experts();
        ExpertShape shape = new ExpertShape(4, 128, 128, false, false, false);
        try (ExpertPlan plan = experts.plan(PatternCase.sorted(loads));
                ExpertWeights gradients = experts.allocate(shape, weightTypes().getFirst())) {
            Operand a = input(exactType(), ones(192, 128), 128);
            experts.downWgrad(plan, a.matrix(), a.matrix(), null, gradients);
            for (int e = 0; e < loads.length; e++) {
                for (double[] row : ExpertRun.store(gradients, WeightPart.DOWN, e)) {
                    for (double value : row) {
                        assertEquals(loads[e], value, "gradient of expert " + e);
                    }
                }
            }
        }
    }

    private static final class Masks {

        static boolean[][] op(boolean[][] mask, Transpose transpose) {
            if (transpose == N) {
                return mask;
            }
            boolean[][] result = new boolean[mask[0].length][mask.length];
            for (int i = 0; i < mask.length; i++) {
                for (int j = 0; j < mask[i].length; j++) {
                    result[j][i] = mask[i][j];
                }
            }
            return result;
        }
    }
}
