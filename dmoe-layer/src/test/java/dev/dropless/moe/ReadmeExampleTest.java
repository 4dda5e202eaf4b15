package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LoadBalancingLoss;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.ScoreRouter;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The example of the README, to the letter between the marks, so that it compiles and does what it says. */
class ReadmeExampleTest {

    @Test
    void trainsOneStep() {
        int tokens = 32;
        Matrix x = random(tokens, 64, 1);
        Matrix dY = random(tokens, 64, 2);
        Matrix y = Matrix.of(new float[tokens * 64], tokens, 64);
        Matrix dX = Matrix.of(new float[tokens * 64], tokens, 64);
        y.fill(Double.NaN);
        dX.fill(Double.NaN);

        // README
        MoeConfig config = MoeConfig.builder(64, 32, 8, ScoreRouter.softmaxTopK(2, true)) // H, F, E, k = 2
                .build();
        try (Kernels kernels = Backends.choose().open(BackendOptions.defaults());
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F32);
                MoeGradients gradients = layer.newGradients(Trainable.all(), ElementType.F32)) {
            MoeInitializer.DEFAULT.initialize(layer.parameters(), 42);

            SavedState saved = layer.forwardTraining( // x, y, dY, dX: [tokens, 64], any MemorySegment or array
                    x,
                    y,
                    ForwardOptions.training(RouterNoise.none()),
                    MemoryPolicy.RECOMPUTE_ACTIVATION,
                    Trainable.all());
            LossValue balance = new LoadBalancingLoss(0.01).evaluate(saved.routing());
            layer.backward(saved, dY, dX, gradients, List.of(balance));
            // gradients.storage() and layer.parameters().storage() now go to the optimiser, element by element
            // README
            assertTrue(
                    gradients.storage().size() == layer.parameters().storage().size());
            assertTrue(balance.value() > 0);
        }
        for (Matrix result : List.of(y, dX)) {
            double norm = 0;
            for (double value : result.toDoubles()) {
                norm += value * value;
            }
            assertTrue(norm > 0, "every element is a number, and not all are zero");
        }
    }

    private static Matrix random(int rows, int columns, long seed) {
        Random random = new Random(seed);
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return Matrix.of(values, rows, columns);
    }
}
