package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A layer worked out by hand: E = 3, H = 2, F = 4, T = 5, k = 2, forward and backward. */
class GoldenLayerTest {

    private static final int[] IDS = {0, 2, 2, 1, 0, 2, 2, 0, 2, 0};
    private static final double[] WEIGHTS = {.5, .5, .75, .25, .5, .25, 1, .5, .25, .75};
    private static final double[] X = {1, 2, -1, 1, 2, -1, 0, 3, 1, -2};
    private static final double[] DY = {1, -1, 2, 0, 0, 1, 1, 1, -1, 2};

    /** [E * F, H]. */
    private static final double[] W1 = {1, 0, 0, 1, 1, 1, 1, -1, 2, 1, -1, 1, 0, -1, 1, 2, 1, -2, -1, -1, 0, 2, 2, 0};

    private static final double[] W2 = {1, 0, 0, 1, 1, 1, -1, 1, 2, 0, 1, -1, 0, 1, 1, 1, 0, -1, 1, 2, -1, 0, 1, 1};

    private record Computed(double[] y, double[] dX, double[] dWeights, double[] dW1, double[] dW2) {}

    private static Computed compute(Activation.Function function, MemoryPolicy policy) {
        FixedRouter router = new FixedRouter(2, IDS, WEIGHTS);
        MoeConfig config = MoeConfig.builder(2, 4, 3, router)
                .gated(false)
                .activation(Activation.of(function))
                .build();
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64);
                MoeGradients gradients =
                        layer.newGradients(Trainable.all(), dev.dropless.blocksparse.ElementType.F64)) {
            for (int e = 0; e < 3; e++) {
                layer.parameters().experts().load(WeightPart.GATE, e, expert(W1, e), Transpose.T);
                layer.parameters().experts().load(WeightPart.DOWN, e, expert(W2, e), Transpose.N);
            }
            Matrix y = Fixture.poisoned(dev.dropless.blocksparse.ElementType.F64, 5, 2);
            Matrix dX = Fixture.poisoned(dev.dropless.blocksparse.ElementType.F64, 5, 2);
            SavedState saved =
                    layer.forwardTraining(Matrix.of(X, 5, 2), y, ForwardOptions.evaluation(), policy, Trainable.all());
            layer.backward(saved, Matrix.of(DY, 5, 2), dX, gradients, List.of());
            double[] dW1 = new double[24];
            double[] dW2 = new double[24];
            for (int e = 0; e < 3; e++) {
                java.util.Objects.requireNonNull(gradients.experts())
                        .store(WeightPart.GATE, e, expert(dW1, e), Transpose.T);
                gradients.experts().store(WeightPart.DOWN, e, expert(dW2, e), Transpose.N);
            }
            return new Computed(y.toDoubles(), dX.toDoubles(), router.dWeights, dW1, dW2);
        }
    }

    private static Matrix expert(double[] rows, int expert) {
        return Matrix.of(rows, 12, 2).sliceRows(4L * expert, 4);
    }

    @ParameterizedTest
    @EnumSource(MemoryPolicy.class)
    void reluIsExact(MemoryPolicy policy) {
        Computed got = compute(Activation.Function.RELU, policy);
        assertArrayEquals(new double[] {1, 3.5, -.75, -.25, 1, 2, -4.5, 3, -.75, 2}, got.y);
        assertArrayEquals(new double[] {.5, -1.5, 0, -1.5, 1.25, .5, 1, -.5, .75, -2}, got.dX);
        assertArrayEquals(new double[] {-1, -4, -4, 6, 4, 0, -6, 9, -5, 8}, got.dWeights);
        assertArrayEquals(
                new double[] {
                    -.25, 2.5, -.5, .5, 1, 2.5, 3.25, -5, 0, 0, -.5, .5, 0, 0, -.5, .5, -1, 1.25, .75, -1.5, 1, -5.5,
                    .75, -.75
                },
                got.dW1);
        assertArrayEquals(
                new double[] {
                    -.25, 2, 2.5, .5, 3, .5, -2.25, 6, 0, 0, 1, 0, 0, 0, .5, 0, -1.25, 3.5, -.25, .5, 11, 4, .5, 1
                },
                got.dW2);
    }

    @ParameterizedTest
    @EnumSource(MemoryPolicy.class)
    void geluAgreesToNineDecimals(MemoryPolicy policy) {
        Computed got = compute(Activation.Function.GELU_TANH, policy);
        // The source rounds sqrt(2/pi) to 0.79788456, 1e-9 below the value, and its results to nine decimals.
        double half = 2e-9;
        assertArrayEquals(
                new double[] {
                    .973696578,
                    3.371556297,
                    -.880456584,
                    -.349377114,
                    .871344551,
                    1.75996929,
                    -4.503637392,
                    2.987269128,
                    -1.036518988,
                    1.753359695
                },
                got.y,
                half);
        assertArrayEquals(
                new double[] {
                    .612861959,
                    -1.620556752,
                    -1.175793524,
                    -2.465248142,
                    1.338839948,
                    .53585752,
                    3.296336668,
                    -.447871253,
                    .632444042,
                    -2.279825401
                },
                got.dX,
                half);
        assertArrayEquals(
                new double[] {
                    -.795789684,
                    -3.999929754,
                    -4,
                    4.95634733,
                    3.678746589,
                    -.317616019,
                    -6.010912176,
                    8.989087824,
                    -5.521896123,
                    7.898283212
                },
                got.dWeights,
                half);
        assertArrayEquals(new double[] {-.270741021, 3.457410209}, Arrays.copyOf(got.dW1, 2), half);
        assertArrayEquals(new double[] {.900841261, 2.077717706}, Arrays.copyOfRange(got.dW1, 22, 24), half);
        assertArrayEquals(new double[] {-.210297998, 1.818490837}, Arrays.copyOf(got.dW2, 2), half);
        assertArrayEquals(new double[] {.420545964, .999982439}, Arrays.copyOfRange(got.dW2, 22, 24), half);
    }
}
