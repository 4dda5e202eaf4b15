package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Every refusal names argument, expected and found. */
class LayerErrorsTest {

    private final Kernels kernels = Fixture.reference();
    private final MoeConfig config =
            MoeConfig.builder(5, 3, 4, Configs.softmax(2)).build();
    private final MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64);
    private final MoeGradients gradients = layer.newGradients(Trainable.all(), ElementType.F64);
    private final Matrix x = Fixture.normal(new Random(1), 6, 5);
    private final Matrix y = Fixture.poisoned(ElementType.F64, 6, 5);

    @AfterEach
    void close() {
        gradients.close();
        layer.close();
        layer.close();
        kernels.close();
    }

    private static void refused(String message, Executable call) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    private SavedState saved(Set<Trainable> trainable) {
        return layer.forwardTraining(x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, trainable);
    }

    @Test
    void forwardChecksShapes() {
        refused(
                "x: expected [6, 5], found F64 [6, 4]",
                () -> layer.forward(x.sliceColumns(0, 4), y, ForwardOptions.evaluation()));
        refused(
                "y: expected [6, 5], found F64 [5, 5]",
                () -> layer.forward(x, y.sliceRows(0, 5), ForwardOptions.evaluation()));
        refused(
                "options.batch: expected a divisor of the 6 tokens, found 4",
                () -> layer.forward(x, y, ForwardOptions.evaluation().withBatch(4)));
        refused(
                "batch: expected at least 1, found 0",
                () -> ForwardOptions.evaluation().withBatch(0));
        Matrix huge = new Matrix(x.segment(), x.type(), 0, 1L << 31, 0, 0, x.space());
        refused(
                "x: expected at most 1073741823 tokens of topK = 2 slots, found F64 [2147483648, 0]",
                () -> layer.forward(huge, huge, ForwardOptions.evaluation()));
    }

    @Test
    void backwardChecksArgumentsWithoutUsingUpTheState() {
        SavedState saved = saved(Trainable.all());
        refused(
                "dY: expected [6, 5], found F64 [3, 5]",
                () -> layer.backward(saved, x.sliceRows(0, 3), y, gradients, List.of()));
        refused(
                "dX: expected [6, 5], found F64 [3, 5]",
                () -> layer.backward(saved, x, y.sliceRows(0, 3), gradients, List.of()));
        refused(
                "lossTerms.dLogits: expected 24 elements, found 3",
                () -> layer.backward(saved, x, y, gradients, List.of(LossValue.ofLogits(0, new double[3]))));
        refused(
                "lossTerms.dNoiseLogits: expected 0 elements, found 24",
                () -> layer.backward(
                        saved, x, y, gradients, List.of(LossValue.ofNoisyLogits(0, new double[24], new double[24]))));
        refused(
                "lossTerms.dWeights: expected 12 elements, found 7",
                () -> layer.backward(saved, x, y, gradients, List.of(LossValue.ofWeights(0, 24, new double[7]))));
        try (MoeGradients some = layer.newGradients(Set.of(Trainable.ROUTER), ElementType.F64);
                MoeLayer other = MoeLayer.create(kernels, config, Precision.F64)) {
            refused(
                    "saved: expected a state of this layer, found one of another layer",
                    () -> other.backward(saved, x, y, gradients, List.of()));
            String message = assertThrows(
                            IllegalArgumentException.class, () -> layer.backward(saved, x, y, some, List.of()))
                    .getMessage();
            assertTrue(
                    String.valueOf(message).matches("gradients: expected tensors for EXPERTS_(UP|DOWN), found none"));
        }
        layer.backward(saved, x, y, gradients, List.of());
    }

    @Test
    void gradientOfAFrozenInputIsRefused() {
        try (SavedState saved = saved(Set.of(Trainable.ROUTER))) {
            refused(
                    "dX: expected null because the input is frozen, found F64 [6, 5]",
                    () -> layer.backward(saved, x, y, gradients, List.of()));
        }
        try (SavedState saved = saved(Set.of(Trainable.INPUT))) {
            layer.backward(saved, x, y, null, List.of());
        }
    }

    @Test
    void aStateIsUsedOnce() {
        SavedState saved = saved(Trainable.all());
        layer.backward(saved, x, y, gradients, List.of());
        String message = assertThrows(
                        IllegalStateException.class, () -> layer.backward(saved, x, y, gradients, List.of()))
                .getMessage();
        assertEquals("saved: expected a state not used before, found one that was used or closed", message);
        saved.close();
        SavedState unused = saved(Trainable.all());
        unused.close();
        unused.close();
        assertThrows(IllegalStateException.class, () -> layer.backward(unused, x, y, gradients, List.of()));
    }

    @Test
    void tensorsOfAnotherConfigurationAreRefused() {
        MoeConfig wider = MoeConfig.builder(5, 4, 4, Configs.softmax(2)).build();
        try (MoeParameters parameters = new MoeParameters(kernels, wider, Precision.F64);
                MoeGradients other = new MoeGradients(kernels, wider, Trainable.all(), ElementType.F64);
                SavedState saved = saved(Trainable.all())) {
            var execution = new DroplessExecution(kernels, parameters.experts(), wider.activation(), ElementType.F64);
            refused(
                    "parameters: expected those of the configuration given, found those of another",
                    () -> MoeLayer.over(kernels, config, parameters, execution));
            String message = assertThrows(
                            IllegalArgumentException.class,
                            () -> MoeLayer.over(kernels, config, layer.parameters(), execution))
                    .getMessage();
            assertTrue(String.valueOf(message).startsWith("routed.shape: expected ExpertShape["), message);
            refused(
                    "gradients: expected those of this layer's configuration, found those of another",
                    () -> layer.backward(saved, x, y, other, List.of()));
        }
    }

    @Test
    void configurationsAreChecked() {
        MoeConfig.Builder latent =
                MoeConfig.builder(5, 3, 4, Configs.softmax(2)).latentSize(-1);
        refused("latentSize: expected at least 0, found -1", latent::build);
        refused(
                "identityExperts: expected at least 0, found -2",
                () -> MoeConfig.builder(5, 3, 4, Configs.softmax(2))
                        .identityExperts(-2)
                        .build());
        refused(
                "hiddenSize: expected at least 1, found 0",
                () -> MoeConfig.builder(0, 3, 4, Configs.softmax(2))
                        .latentSize(3)
                        .build());
        refused(
                "identityExperts: expected numExperts + identityExperts below 2^31, found 2147483651",
                () -> MoeConfig.builder(5, 3, 4, Configs.softmax(2))
                        .identityExperts(Integer.MAX_VALUE)
                        .build());
        refused(
                "router.topK: expected at most the 4 experts there are, found 5",
                () -> MoeConfig.builder(5, 3, 4, Configs.softmax(5)).build());
        refused(
                "combination: expected SUM without a shared expert, found AVERAGE",
                () -> new MoeConfig(
                        5,
                        config.experts(),
                        config.activation(),
                        config.router(),
                        false,
                        false,
                        false,
                        WeightPlacement.OUTPUT,
                        0,
                        0,
                        null,
                        Combination.AVERAGE,
                        false,
                        1,
                        Jitter.NONE));
        refused(
                "experts.hiddenSize: expected latentSize = 7, found 5",
                () -> new MoeConfig(
                        5,
                        config.experts(),
                        config.activation(),
                        config.router(),
                        false,
                        false,
                        false,
                        WeightPlacement.OUTPUT,
                        0,
                        7,
                        null,
                        Combination.SUM,
                        false,
                        1,
                        Jitter.NONE));
        refused(
                "router: expected a ScoreRouter for noisyGating, found FixedRouter",
                () -> MoeConfig.builder(5, 3, 4, new FixedRouter(1, new int[0], new double[0]))
                        .noisyGating(true)
                        .build());
        refused(
                "routedScale: expected a number, found NaN",
                () -> MoeConfig.builder(5, 3, 4, Configs.softmax(2))
                        .routedScale(Double.NaN)
                        .build());
        Activation silu = Activation.of(Activation.Function.SILU);
        refused(
                "shared.shape.numExperts: expected 1, found 2",
                () -> new SharedExpert(new ExpertShape(2, 5, 3, true, false, false), silu, false));
        SharedExpert narrow = new SharedExpert(new ExpertShape(1, 4, 3, true, false, false), silu, false);
        refused(
                "shared.shape.hiddenSize: expected hiddenSize = 5, found 4",
                () -> MoeConfig.builder(5, 3, 4, Configs.softmax(2))
                        .shared(narrow, Combination.SUM)
                        .build());
        refused("inputJitter.epsilon: expected in [0, 1), found 1.0", () -> new Jitter(1, Jitter.Scope.LAYER));
        refused(
                "precision.router: expected F32 or F64, found BF16",
                () -> new Precision(ElementType.BF16, ElementType.BF16, ElementType.BF16));
        refused("std: expected a number of at least 0, found -1.0", () -> new MoeInitializer(-1, 1));
        refused("outputStd: expected a number of at least 0, found NaN", () -> new MoeInitializer(1, Double.NaN));
    }

    @Test
    void expertsIn8BitsAreNotTrained() {
        try (MoeLayer int8 = MoeLayer.create(kernels, config, Precision.INT8)) {
            new MoeInitializer(1, 1).initialize(int8.parameters(), 3);
            y.fill(Double.NaN);
            int8.forward(x, y, ForwardOptions.evaluation());
            for (double value : y.toDoubles()) {
                assertTrue(Double.isFinite(value));
            }
            refused(
                    "trainable: expected none because the experts are in 8 bits, which serve the forward pass only,"
                            + " found [ROUTER]",
                    () -> int8.forwardTraining(
                            x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, EnumSet.of(Trainable.ROUTER)));
        }
    }
}
