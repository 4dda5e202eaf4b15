package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LoadLoss;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routing;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every gradient of the whole layer against central differences in float64, for every option. */
class LayerGradientTest {

    private static final double STEP = 1e-5;

    /** Truncation is about STEP^2 times a third derivative, cancellation 1e-16 / STEP times the sum: both below 1e-9 here. */
    private static final double TOLERANCE = 2e-8;

    /** sum of a * z, and sum of b * w^2, with fixed a and b: losses that go through logits and weights. */
    private static List<LossValue> losses(Routing routing) {
        double[] dLogits = new double[routing.logits().length];
        double ofLogits = 0;
        for (int i = 0; i < dLogits.length; i++) {
            dLogits[i] = 0.1 * Math.sin(i);
            ofLogits += dLogits[i] * routing.logits()[i];
        }
        double[] dWeights = new double[routing.weights().length];
        double ofWeights = 0;
        for (int i = 0; i < dWeights.length; i++) {
            double b = 0.2 * Math.cos(i);
            dWeights[i] = 2 * b * routing.weights()[i];
            ofWeights += b * routing.weights()[i] * routing.weights()[i];
        }
        List<LossValue> all = new ArrayList<>();
        all.add(LossValue.ofLogits(ofLogits, dLogits));
        all.add(LossValue.ofWeights(ofWeights, dLogits.length, dWeights));
        if (routing.noiseDraws() != null) {
            all.add(new LoadLoss(0.1).evaluate(routing));
        }
        return all;
    }

    private record Problem(MoeLayer layer, Matrix x, Matrix dY, ForwardOptions options) {
        double loss() {
            Matrix y = Fixture.poisoned(ElementType.F64, (int) x.rows(), (int) x.columns());
            Routing routing = layer.forward(x, y, options);
            double sum = losses(routing).stream().mapToDouble(LossValue::value).sum();
            for (int t = 0; t < x.rows(); t++) {
                for (int h = 0; h < x.columns(); h++) {
                    sum += y.get(t, h) * dY.get(t, h);
                }
            }
            return sum;
        }

        double slope(Matrix tensor, long row, long column) {
            double value = tensor.get(row, column);
            tensor.set(row, column, value + STEP);
            double above = loss();
            tensor.set(row, column, value - STEP);
            double below = loss();
            tensor.set(row, column, value);
            return (above - below) / (2 * STEP);
        }
    }

    @TestFactory
    Stream<DynamicTest> everyOption() {
        return Configs.all().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> {
                    check(e.getValue(), 7, 1);
                    check(e.getValue(), 4, 2);
                }));
    }

    private static void check(MoeConfig config, int tokens, long seed) {
        Random random = new Random(seed);
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), seed);
            Matrix x = Fixture.normal(random, tokens, config.hiddenSize());
            Matrix dY = Fixture.normal(random, tokens, config.hiddenSize());
            ForwardOptions options = ForwardOptions.training(RouterNoise.seeded(seed));
            Fixture.Result got = Fixture.run(layer, x, dY, options, MemoryPolicy.SAVE_ALL, LayerGradientTest::losses);
            Problem problem = new Problem(layer, x, dY, options);
            compare("dX", problem, x, got.dX(), random);
            List<Matrix> parameters = layer.parameters().storage();
            assertEquals(parameters.size(), got.gradients().size());
            for (int i = 0; i < parameters.size(); i++) {
                compare(
                        "tensor " + i,
                        problem,
                        parameters.get(i),
                        got.gradients().get(i),
                        random);
            }
        }
    }

    /** Compares up to 24 elements of a tensor, all of them where there are fewer. */
    private static void compare(String name, Problem problem, Matrix tensor, double[] gradient, Random random) {
        int count = gradient.length;
        for (int i = 0; i < Math.min(count, 24); i++) {
            int at = count <= 24 ? i : random.nextInt(count);
            double slope = problem.slope(tensor, at / tensor.columns(), at % tensor.columns());
            double scale = Math.max(1, Math.abs(slope));
            assertEquals(slope, gradient[at], TOLERANCE * scale, name + "[" + at + "]");
        }
    }
}
