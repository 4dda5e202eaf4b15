package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routing;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Stated bytes per token against what is really allocated; and nothing is left behind. */
class MemoryPolicyTest {

    private static final int TOKENS = 13;

    @TestFactory
    Stream<DynamicTest> statedBytesAreAllocated() {
        return Configs.all().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> {
                    for (MemoryPolicy policy : MemoryPolicy.values()) {
                        for (Precision precision : List.of(Precision.F64, Precision.BF16)) {
                            check(e.getValue(), policy, precision);
                        }
                    }
                }));
    }

    private static void check(MoeConfig config, MemoryPolicy policy, Precision precision) {
        try (RecordingKernels kernels = new RecordingKernels(Fixture.reference());
                MoeLayer layer = MoeLayer.create(kernels, config, precision);
                MoeGradients gradients = layer.newGradients(Trainable.all(), ElementType.F32)) {
            Fixture.randomize(layer.parameters(), 1);
            Matrix x = Fixture.normal(new Random(1), TOKENS, config.hiddenSize());
            Matrix y = Fixture.poisoned(ElementType.F64, TOKENS, config.hiddenSize());
            long before = kernels.liveBytes.get();
            ForwardOptions options = ForwardOptions.training(RouterNoise.seeded(5));
            SavedState saved = layer.forwardTraining(x, y, options, policy, Trainable.all());
            long unassigned = saved.topology().slots() - saved.topology().rows();
            long perSlot = (policy.keepsPreActivations() ? config.experts().preActivations() : 0)
                    + (policy.keepsActivations() ? config.experts().ffnHiddenSize() : 0);
            long stated = TOKENS * policy.bytesPerToken(config, precision, kernels.accumulation());
            assertEquals(
                    stated - unassigned * perSlot * precision.activations().bytes(), kernels.liveBytes.get() - before);
            layer.backward(saved, x, y, gradients, List.of());
            assertEquals(before, kernels.liveBytes.get());

            layer.forwardTraining(x, y, options, policy, Trainable.all()).close();
            layer.forward(x, y, options);
            assertEquals(before, kernels.liveBytes.get());
        }
    }

    @Test
    void policiesKeepLessAndLess() {
        MoeConfig config = MoeConfig.builder(64, 32, 8, Configs.softmax(4)).build();
        assertEquals(
                4 * 3 * 32 * 2 + 4 * 4, MemoryPolicy.SAVE_ALL.bytesPerToken(config, Precision.BF16, ElementType.F32));
        assertEquals(
                4 * 2 * 32 * 2 + 4 * 4,
                MemoryPolicy.RECOMPUTE_ACTIVATION.bytesPerToken(config, Precision.BF16, ElementType.F32));
        assertEquals(
                4 * 4, MemoryPolicy.RECOMPUTE_UP_PROJECTION.bytesPerToken(config, Precision.BF16, ElementType.F32));
    }

    @Test
    void failureInTheRouterLeavesNothingBehind() {
        MoeConfig config = MoeConfig.builder(5, 3, 4, new FixedRouter(1, new int[] {0}, new double[] {1}))
                .build();
        try (RecordingKernels kernels = new RecordingKernels(Fixture.reference());
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            long before = kernels.liveBytes.get();
            Matrix x = Fixture.normal(new Random(1), 2, 5);
            try {
                layer.forward(x, Fixture.poisoned(ElementType.F64, 2, 5), ForwardOptions.evaluation());
            } catch (IllegalArgumentException expected) {
                assertTrue(String.valueOf(expected.getMessage()).contains("expertIds"), expected.getMessage());
            }
            assertEquals(before, kernels.liveBytes.get());
        }
    }

    private static final Map<Set<Trainable>, List<String>> PRODUCTS = Map.of(
            Trainable.all(), List.of("aggregate", "downDgrad", "downWgrad", "upDgrad", "upWgrad"),
            Set.of(Trainable.EXPERTS_DOWN), List.of("downWgrad"),
            Set.of(Trainable.EXPERTS_UP), List.of("downDgrad", "upWgrad"),
            Set.of(Trainable.ROUTER), List.of("downDgrad"),
            Set.of(Trainable.INPUT), List.of("aggregate", "downDgrad", "upDgrad"),
            Set.of(Trainable.EXPERTS_UP, Trainable.EXPERTS_DOWN), List.of("downDgrad", "downWgrad", "upWgrad"),
            Set.of(), List.of());

    @Test
    void frozenProductsAreNotComputed() {
        MoeConfig config = Configs.all().get("gated silu, top 2 of 4");
        for (Map.Entry<Set<Trainable>, List<String>> expected : PRODUCTS.entrySet()) {
            for (MemoryPolicy policy : MemoryPolicy.values()) {
                List<String> calls = backwardCalls(config, expected.getKey(), policy);
                List<String> products = new java.util.ArrayList<>(expected.getValue());
                if (policy == MemoryPolicy.RECOMPUTE_UP_PROJECTION && !products.isEmpty()) {
                    products.add("up");
                }
                assertEquals(
                        products.stream().sorted().toList(),
                        calls.stream().filter(c -> !c.equals("gemm")).sorted().toList(),
                        expected.getKey() + " " + policy);
                boolean router = expected.getKey().contains(Trainable.ROUTER);
                boolean input = expected.getKey().contains(Trainable.INPUT);
                assertEquals(
                        (router ? 1 : 0) + (input ? 1 : 0),
                        calls.stream().filter("gemm"::equals).count());
            }
        }
    }

    private static List<String> backwardCalls(MoeConfig config, Set<Trainable> trainable, MemoryPolicy policy) {
        try (RecordingKernels kernels = new RecordingKernels(Fixture.reference());
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64);
                MoeGradients gradients = layer.newGradients(trainable, ElementType.F64)) {
            Fixture.randomize(layer.parameters(), 2);
            Matrix x = Fixture.normal(new Random(1), TOKENS, config.hiddenSize());
            Matrix y = Fixture.poisoned(ElementType.F64, TOKENS, config.hiddenSize());
            SavedState saved = layer.forwardTraining(x, y, ForwardOptions.evaluation(), policy, trainable);
            kernels.calls.clear();
            Matrix dX = trainable.contains(Trainable.INPUT)
                    ? Fixture.poisoned(ElementType.F64, TOKENS, config.hiddenSize())
                    : null;
            layer.backward(saved, x, dX, gradients, List.of());
            return List.copyOf(kernels.calls);
        }
    }

    @Test
    void routingOutlivesTheState() {
        MoeConfig config = Configs.all().get("gated silu, top 2 of 4");
        try (RecordingKernels kernels = new RecordingKernels(Fixture.reference());
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), 2);
            Matrix x = Fixture.normal(new Random(1), TOKENS, config.hiddenSize());
            SavedState saved = layer.forwardTraining(
                    x,
                    Fixture.poisoned(ElementType.F64, TOKENS, config.hiddenSize()),
                    ForwardOptions.evaluation(),
                    MemoryPolicy.SAVE_ALL,
                    Trainable.all());
            saved.close();
            Routing routing = saved.routing();
            assertEquals(2 * TOKENS, Arrays.stream(routing.tokensPerExpert()).sum());
            assertEquals(
                    Arrays.toString(routing.tokensPerExpert()),
                    Arrays.toString(saved.topology().tokensPerExpert()));
        }
    }
}
