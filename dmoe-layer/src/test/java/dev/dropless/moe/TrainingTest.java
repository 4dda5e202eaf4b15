package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.router.RouterNoise;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The whole loop: initial values, forward, losses, backward, an optimiser that works on storage alone. */
class TrainingTest {

    private static final int TOKENS = 96;

    /** Plain gradient descent: parameter -= rate * gradient, element by element. */
    private static void descend(MoeParameters parameters, MoeGradients gradients, double rate) {
        List<Matrix> values = parameters.storage();
        List<Matrix> slopes = gradients.storage();
        for (int i = 0; i < values.size(); i++) {
            Matrix value = values.get(i);
            for (long r = 0; r < value.rows(); r++) {
                for (long c = 0; c < value.columns(); c++) {
                    value.set(r, c, value.get(r, c) - rate * slopes.get(i).get(r, c));
                }
            }
        }
    }

    @Test
    void aLayerLearnsAFunctionOfItsInput() {
        MoeConfig config = MoeConfig.builder(4, 12, 6, Configs.softmax(2))
                .routerBias(true)
                .outputBias(true)
                .build();
        Random random = new Random(3);
        Matrix x = Fixture.normal(random, TOKENS, 4);
        Matrix target = Fixture.normal(random, TOKENS, 4);
        for (int t = 0; t < TOKENS; t++) {
            for (int h = 0; h < 4; h++) {
                target.set(t, h, Math.abs(x.get(t, h)) - 0.5 * x.get(t, (h + 1) % 4));
            }
        }
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F32);
                MoeGradients gradients = layer.newGradients(Trainable.all(), ElementType.F32)) {
            new MoeInitializer(0.5, 0.3).initialize(layer.parameters(), 7);
            double first = step(layer, gradients, x, target);
            double last = first;
            for (int i = 0; i < 150; i++) {
                last = step(layer, gradients, x, target);
            }
            assertTrue(last < 0.15 * first, "loss %g after %g".formatted(last, first));
        }
    }

    /** Mean square error and z-loss; returns their sum before the step. */
    private static double step(MoeLayer layer, MoeGradients gradients, Matrix x, Matrix target) {
        Matrix y = Fixture.poisoned(ElementType.F32, TOKENS, 4);
        Matrix dY = Fixture.poisoned(ElementType.F32, TOKENS, 4);
        SavedState saved = layer.forwardTraining(
                x,
                y,
                ForwardOptions.training(RouterNoise.seeded(1)),
                MemoryPolicy.RECOMPUTE_ACTIVATION,
                Trainable.all());
        LossValue zLoss = new RouterZLoss(1e-3).evaluate(saved.routing());
        double loss = zLoss.value();
        for (int t = 0; t < TOKENS; t++) {
            for (int h = 0; h < 4; h++) {
                double error = y.get(t, h) - target.get(t, h);
                loss += error * error / TOKENS;
                dY.set(t, h, 2 * error / TOKENS);
            }
        }
        gradients.zero();
        layer.backward(saved, dY, null, gradients, List.of(zLoss));
        descend(layer.parameters(), gradients, 0.3);
        return loss;
    }

    @Test
    void initialValuesAreNormalAndDependOnTheSeedAlone() {
        MoeConfig config = MoeConfig.builder(40, 30, 8, Configs.softmax(2))
                .expertBiases(true, true)
                .selectionBias(true)
                .routerBias(true)
                .build();
        try (Kernels kernels = Fixture.reference();
                MoeParameters a = new MoeParameters(kernels, config, Precision.F64);
                MoeParameters b = new MoeParameters(kernels, config, Precision.F32)) {
            Fixture.randomize(a, 1);
            new MoeInitializer(0.02, 0.005).initialize(a, 11);
            new MoeInitializer(0.02, 0.005).initialize(b, 11);
            deviation(0.02, a, WeightPart.GATE);
            deviation(0.02, a, WeightPart.UP);
            deviation(0.005, a, WeightPart.DOWN);
            for (WeightPart bias : List.of(WeightPart.GATE_BIAS, WeightPart.UP_BIAS, WeightPart.DOWN_BIAS)) {
                deviation(0, a, bias);
            }
            assertEquals(
                    0,
                    Fixture.error(
                            java.util.Objects.requireNonNull(a.selectionBias()).toDoubles(), new double[8]));
            assertEquals(
                    0,
                    Fixture.error(
                            java.util.Objects.requireNonNull(a.routerBias()).toDoubles(), new double[8]));
            assertArrayEquals(a.routerWeight().toDoubles(), b.routerWeight().toDoubles(), 1e-8);
            assertArrayEquals(
                    Fixture.part(a.experts(), WeightPart.DOWN, 7).toDoubles(),
                    Fixture.part(b.experts(), WeightPart.DOWN, 7).toDoubles(),
                    1e-8);
        }
    }

    private static void deviation(double expected, MoeParameters parameters, WeightPart part) {
        double sum = 0;
        double squares = 0;
        int count = 0;
        for (int e = 0; e < 8; e++) {
            for (double v : Fixture.part(parameters.experts(), part, e).toDoubles()) {
                sum += v;
                squares += v * v;
                count++;
            }
        }
        // 9600 draws: the deviation of the mean is 1 % of the deviation, that of the deviation 0.7 %
        assertEquals(0, sum / count, 0.05 * expected);
        assertEquals(expected, Math.sqrt(squares / count), 0.05 * expected);
    }
}
