package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Products in tiles, and on tensor cores, equal those of one thread for each element, which the contract holds against
 * double precision; on a device the contract judges the tiles themselves.
 */
class TilesTest {

    private static final int TOKENS = 45;
    private static final int TOP_K = 2;
    private static final ExpertShape SHAPE = new ExpertShape(4, 35, 18, true, true, true);
    private static final Activation ACTIVATION = Activation.of(Activation.Function.SILU);

    /** One device with operands that are the same whatever it computes with. */
    private static final class Run implements AutoCloseable {
        final TornadoKernels kernels;
        final TornadoMemory.DeviceScope scope;
        final Random random = new Random(11);

        final ElementType type;

        /** Loops, tiles, or tensor cores where the type has 16 bits. */
        Run(ElementType type, boolean tiled, boolean tensorCores) {
            this.type = type;
            kernels = new TornadoKernels(new Device(new JavaEngine(tensorCores), tiled), 0);
            scope = kernels.memory().open();
        }

        Matrix input(int rows, int columns) {
            Matrix matrix = scope.allocate(type, rows, columns);
            kernels.memory().copy(hostInput(rows, columns), matrix);
            return matrix;
        }

        Matrix hostInput(int rows, int columns) {
            float[] values = new float[rows * columns];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian();
            }
            return Matrix.of(values, rows, columns);
        }

        double[] read(Matrix matrix) {
            Matrix host =
                    Matrix.of(new float[(int) (matrix.rows() * matrix.columns())], matrix.rows(), matrix.columns());
            kernels.memory().copy(matrix, host);
            return host.toDoubles();
        }

        ExpertWeights weights() {
            ExpertWeights weights = kernels.experts().allocate(SHAPE, type);
            for (WeightPart part : WeightPart.values()) {
                for (int e = 0; e < SHAPE.numExperts(); e++) {
                    weights.load(part, e, hostInput(SHAPE.rows(part), SHAPE.columns(part)), Transpose.N);
                }
            }
            return weights;
        }

        @Override
        public void close() {
            scope.close();
            kernels.close();
        }
    }

    /** Expert 1 has no rows, expert 3 fills more than a tile, some slots have no expert. */
    private static Topology topology() {
        Random random = new Random(5);
        int[] ids = new int[TOKENS * TOP_K];
        for (int s = 0; s < ids.length; s++) {
            int choice = random.nextInt(8);
            ids[s] = choice < 4 ? 3 : choice < 6 ? 0 : choice < 7 ? 2 : Topology.UNASSIGNED;
        }
        return Topology.of(ids, TOP_K, SHAPE.numExperts());
    }

    private static List<double[]> experts(ElementType type, boolean tiled, boolean cores) {
        List<double[]> results = new ArrayList<>();
        try (Run run = new Run(type, tiled, cores);
                ExpertWeights weights = run.weights();
                ExpertWeights gradients = run.weights();
                ExpertPlan plan = run.kernels.experts().plan(topology())) {
            int rows = plan.topology().rows();
            int f = SHAPE.ffnHiddenSize();
            int h = SHAPE.hiddenSize();
            Matrix x = run.input(TOKENS, h);
            Matrix v = run.input(TOKENS, TOP_K);
            Matrix pre = run.input(rows, 2 * f);
            Matrix hidden = run.input(rows, f);
            Matrix out = run.input(rows, h);
            Matrix dPre = run.input(rows, 2 * f);
            Matrix dWeights = run.input(TOKENS, TOP_K);
            Matrix dRows = run.input(rows, h);
            var kernels = run.kernels.experts();
            kernels.up(plan, x, v, weights, ACTIVATION, pre, hidden);
            kernels.down(plan, hidden, weights, out);
            kernels.downDgrad(plan, x, v, weights, ACTIVATION, pre, hidden, false, dPre, dWeights);
            kernels.downWgrad(plan, hidden, x, v, gradients);
            kernels.upDgrad(plan, dPre, weights, dRows);
            kernels.upWgrad(plan, x, v, dPre, gradients);
            for (Matrix m : List.of(pre, hidden, out, dPre, dWeights, dRows)) {
                results.add(run.read(m));
            }
            gradients.storage().forEach(m -> results.add(run.read(m)));
        }
        return results;
    }

    @Test
    void expertProductsAreTheSame() {
        assertSame(experts(ElementType.F32, false, false), experts(ElementType.F32, true, false), 1e-5);
    }

    private static List<double[]> dense(ElementType type, boolean tiled, boolean cores) {
        List<double[]> results = new ArrayList<>();
        try (Run run = new Run(type, tiled, cores)) {
            for (int[] size : new int[][] {{1, 1, 1}, {33, 17, 40}, {64, 32, 16}, {31, 5, 70}, {3, 0, 4}}) {
                Matrix a = run.input(size[0], size[1]);
                Matrix b = run.input(size[2], size[1]);
                Matrix c = run.input(size[0], size[2]);
                Matrix transposed = run.input(size[2], size[0]);
                run.kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.T, c, true);
                run.kernels.blockSparse().gemm(b, Transpose.N, a, Transpose.T, transposed, false);
                results.add(run.read(c));
                results.add(run.read(transposed));
            }
        }
        return results;
    }

    @Test
    void denseProductsAreTheSame() {
        assertSame(dense(ElementType.F32, false, false), dense(ElementType.F32, true, false), 1e-5);
    }

    /** Results are rounded to 16 bits: sums in another order may fall on the other side. */
    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void tensorCoresGiveTheSame(ElementType type) {
        double unit = type == ElementType.BF16 ? 0x1p-8 : 0x1p-11;
        assertSame(dense(type, false, false), dense(type, false, true), 2 * unit);
        assertSame(experts(type, false, false), experts(type, false, true), 4 * unit);
    }

    /** Sums of the same terms in the same order; only where factors enter differs. */
    private static void assertSame(List<double[]> loops, List<double[]> tiles, double tolerance) {
        assertThat(tiles).hasSameSizeAs(loops);
        for (int i = 0; i < loops.size(); i++) {
            double[] expected = loops.get(i);
            double[] found = tiles.get(i);
            double scale = 1 + Arrays.stream(expected).map(Math::abs).max().orElse(0);
            assertThat(found).hasSameSizeAs(expected);
            for (int n = 0; n < found.length; n++) {
                assertThat(Math.abs(found[n] - expected[n]))
                        .as("result %d, element %d", i, n)
                        .isLessThanOrEqualTo(tolerance * scale);
            }
        }
    }
}
