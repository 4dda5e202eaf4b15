package dev.dropless.moe.padded;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.Configs;
import dev.dropless.moe.Fixture;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.loss.MegaBlocksBalancingLoss;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.Routing;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Padded without drops is dropless; with drops it is the dropless layer behind a router that drops the same slots. */
class PaddedLayerTest {

    /** Products of the same rows in another shape: the order of every sum is the same or differs by a few roundings. */
    private static final double TOLERANCE = 1e-13;

    private static final Fixture.Losses LOSSES = routing ->
            List.of(new MegaBlocksBalancingLoss(0.1, 2).evaluate(routing), new RouterZLoss(1e-3).evaluate(routing));

    /** One layer computed both ways. */
    private static void compare(MoeConfig config, int tokens, long seed, CapacityPolicy capacity) {
        try (Kernels kernels = Fixture.reference();
                MoeLayer dropless = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(dropless.parameters(), seed);
            Random random = new Random(seed);
            Matrix x = Fixture.normal(random, tokens, config.hiddenSize());
            Matrix dY = Fixture.normal(random, tokens, config.hiddenSize());
            ForwardOptions options = ForwardOptions.training(RouterNoise.seeded(seed));
            try (MoeLayer padded = PaddedExecution.layerLike(kernels, dropless, capacity)) {
                Fixture.Result want = Fixture.run(dropless, x, dY, options, MemoryPolicy.SAVE_ALL, LOSSES);
                Fixture.Result got = Fixture.run(padded, x, dY, options, MemoryPolicy.SAVE_ALL, LOSSES);
                assertTrue(Fixture.error(got, want) <= TOLERANCE, "error " + Fixture.error(got, want));
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> everyOptionEqualsDropless() {
        return Configs.all().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> {
                    for (int tokens : new int[] {0, 1, 8, 31}) {
                        compare(e.getValue(), tokens, tokens + 1, CapacityPolicy.maximumLoad());
                    }
                    compare(e.getValue(), 9, 3, CapacityPolicy.fixed(15)); // more room than anyone needs
                }));
    }

    /** MegaBlocks' grid of (batch, sequence, hidden, experts, k), scaled down; F = H; k is really passed on. */
    @ParameterizedTest
    @CsvSource({
        "16,8,8,1,1", "16,8,8,2,1", "16,8,8,4,1", "16,8,8,8,1", "8,16,8,1,1", "8,16,8,2,1", "8,16,8,4,1",
        "16,8,8,2,2", "16,8,8,4,2", "16,8,8,4,4", "16,8,8,8,2", "16,8,8,8,4", "16,8,8,8,8", "16,8,2,1,1"
    })
    void forwardAndBackwardVsMoe(int batch, int sequence, int hidden, int experts, int topK) {
        for (boolean gated : new boolean[] {false, true}) {
            MoeConfig config = MoeConfig.builder(hidden, hidden, experts, Configs.softmax(topK))
                    .gated(gated)
                    .activation(Activation.of(Activation.Function.GELU_TANH))
                    .build();
            compare(config, batch * sequence, 17, CapacityPolicy.maximumLoad());
        }
    }

    /** With one expert the layer is a dense feed-forward network: x W1, activation, W2; its weight is softmax of one logit = 1. */
    @ParameterizedTest
    @CsvSource({"128,8", "96,12"})
    void forwardVsBaseline(int tokens, int hidden) {
        MoeConfig config = MoeConfig.builder(hidden, 2 * hidden, 1, Configs.softmax(1))
                .gated(false)
                .activation(Activation.of(Activation.Function.GELU_TANH))
                .build();
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), 5);
            Matrix x = Fixture.normal(new Random(5), tokens, hidden);
            Matrix y = Fixture.poisoned(ElementType.F64, tokens, hidden);
            layer.forward(x, y, ForwardOptions.evaluation());
            Matrix w1 = Fixture.part(layer.parameters().experts(), WeightPart.GATE, 0);
            Matrix w2 = Fixture.part(layer.parameters().experts(), WeightPart.DOWN, 0);
            double[] expected = new double[tokens * hidden];
            for (int t = 0; t < tokens; t++) {
                for (int f = 0; f < 2 * hidden; f++) {
                    double a = 0;
                    for (int h = 0; h < hidden; h++) {
                        a += x.get(t, h) * w1.get(h, f);
                    }
                    double hiddenValue = ActivationMath.hidden(config.activation(), a);
                    for (int h = 0; h < hidden; h++) {
                        expected[t * hidden + h] += hiddenValue * w2.get(f, h);
                    }
                }
            }
            assertTrue(Fixture.error(y.toDoubles(), expected) <= TOLERANCE);
        }
    }

    /** A router with MegaBlocks' capacity rule drops the same slots before the experts see them. */
    @ParameterizedTest
    @CsvSource({"0.25,1", "0.5,2", "1,2", "1.25,3", "2,1"})
    void dropsEqualARouterThatDrops(double factor, int topK) {
        int tokens = 37;
        MoeConfig plain =
                MoeConfig.builder(6, 4, 5, Routers.megaBlocks(topK, 0, null)).build();
        MoeConfig dropping = MoeConfig.builder(6, 4, 5, Routers.megaBlocks(topK, 0, ExpertCapacity.factor(factor)))
                .build();
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, plain, Precision.F64);
                MoeLayer judge = MoeLayer.create(kernels, dropping, Precision.F64)) {
            Fixture.randomize(layer.parameters(), 23);
            Fixture.copy(layer.parameters(), judge.parameters());
            Matrix x = Fixture.normal(new Random(23), tokens, 6);
            Matrix dY = Fixture.normal(new Random(24), tokens, 6);
            ForwardOptions options = ForwardOptions.evaluation();
            try (MoeLayer padded = PaddedExecution.layerLike(kernels, layer, CapacityPolicy.factor(factor))) {
                Fixture.Result want = Fixture.run(judge, x, dY, options, MemoryPolicy.SAVE_ALL, Fixture.Losses.NONE);
                Fixture.Result got = Fixture.run(padded, x, dY, options, MemoryPolicy.SAVE_ALL, Fixture.Losses.NONE);
                assertTrue(Fixture.error(got, want) <= TOLERANCE, "error " + Fixture.error(got, want));
            }
        }
    }

    @Test
    void droppedSlotsMatchAnIndependentLoop() {
        int tokens = 60;
        int topK = 2;
        int experts = 5;
        MoeConfig config =
                MoeConfig.builder(6, 4, experts, Configs.softmax(topK)).build();
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), 29);
            Matrix x = Fixture.normal(new Random(29), tokens, 6);
            Matrix y = Fixture.poisoned(ElementType.F64, tokens, 6);
            for (CapacityPolicy policy :
                    List.of(CapacityPolicy.factor(1), CapacityPolicy.factor(0.7), CapacityPolicy.fixed(0))) {
                try (MoeLayer padded = PaddedExecution.layerLike(kernels, layer, policy);
                        SavedState dropless = layer.forwardTraining(
                                x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
                        SavedState saved = padded.forwardTraining(
                                x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all())) {
                    List<Integer> dropped = dropped(saved.routing(), policy, experts);
                    DropReport report = DropReport.of(dropless.topology(), policy, 4);
                    assertArrayEquals(dropped.stream().mapToInt(i -> i).toArray(), report.droppedSlots());
                    assertEquals(
                            tokens * topK - dropped.size(), saved.topology().rows());
                    checkPositions(dropped, report, 15, topK);
                }
            }
        }
    }

    /** In (expert, slot) order the first C of each expert stay. */
    private static List<Integer> dropped(Routing routing, CapacityPolicy policy, int experts) {
        int capacity = switch (policy) {
            case CapacityPolicy.Factor f -> (int) (f.factor() * routing.topK() * routing.tokens() / experts);
            case CapacityPolicy.Fixed f -> f.rows();
            case CapacityPolicy.MaximumLoad m -> Integer.MAX_VALUE;
        };
        int[] seen = new int[experts];
        List<Integer> dropped = new ArrayList<>();
        for (int slot = 0; slot < routing.expertIds().length; slot++) {
            if (seen[routing.expertIds()[slot]]++ >= capacity) {
                dropped.add(slot);
            }
        }
        return dropped;
    }

    private static void checkPositions(List<Integer> dropped, DropReport report, int sequence, int topK) {
        for (int s = 0; s < sequence; s++) {
            int position = s;
            long here = dropped.stream()
                    .filter(slot -> slot / topK % sequence == position)
                    .count();
            assertEquals(here / (4.0 * topK), report.droppedByPosition()[s], 1e-15);
        }
    }

    @Test
    void reportCountsRowsAndWork() {
        // expert 0: slots 0 1 2 4, expert 1: slot 3, expert 2: none, slot 5 unassigned
        var topology = dev.dropless.topology.Topology.of(new int[] {0, 0, 0, 1, 0, -1}, 1, 3);
        DropReport report = DropReport.of(topology, CapacityPolicy.fixed(2), 2);
        assertEquals(5, report.assignedSlots());
        assertArrayEquals(new int[] {2, 4}, report.droppedSlots());
        assertArrayEquals(new double[] {0, 0.5, 1}, report.droppedByPosition());
        assertEquals(0.4, report.droppedFraction());
        assertEquals(3, report.usefulRows());
        assertEquals(6, report.paddedRows());
        assertEquals(0.5, report.paddingWaste());
        var shape = new dev.dropless.blocksparse.ExpertShape(3, 10, 7, true, false, false);
        assertEquals(3 * 2 * 10 * 21, report.usefulFlops(shape));
        assertEquals(6 * 2 * 10 * 21, report.paddedFlops(shape));
        DropReport all = DropReport.of(topology, CapacityPolicy.maximumLoad(), 1);
        assertEquals(4, all.capacity());
        assertEquals(0, all.droppedFraction());
        DropReport none =
                DropReport.of(dev.dropless.topology.Topology.of(new int[0], 2, 3), CapacityPolicy.factor(1), 1);
        assertEquals(
                Map.of("dropped", 0.0, "waste", 0.0),
                Map.of("dropped", none.droppedFraction(), "waste", none.paddingWaste()));
    }

    @Test
    void refreshSeesNewWeights() {
        MoeConfig config = MoeConfig.builder(6, 4, 3, Configs.softmax(2)).build();
        try (Kernels kernels = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64);
                PaddedExecution execution = new PaddedExecution(
                        kernels,
                        layer.parameters().experts(),
                        config.activation(),
                        ElementType.F64,
                        CapacityPolicy.maximumLoad());
                MoeLayer padded = MoeLayer.over(kernels, config, layer.parameters(), execution)) {
            Fixture.randomize(layer.parameters(), 31);
            Matrix x = Fixture.normal(new Random(31), 9, 6);
            Matrix y = Fixture.poisoned(ElementType.F64, 9, 6);
            padded.forward(x, y, ForwardOptions.evaluation());
            assertArrayEquals(new double[54], y.toDoubles());
            execution.refresh();
            padded.forward(x, y, ForwardOptions.evaluation());
            Matrix expected = Fixture.poisoned(ElementType.F64, 9, 6);
            layer.forward(x, expected, ForwardOptions.evaluation());
            assertTrue(Fixture.error(y.toDoubles(), expected.toDoubles()) <= TOLERANCE);
        }
    }

    @Test
    void badArgumentsAreNamed() {
        assertMessage("factor: expected a number above 0, found 0.0", () -> CapacityPolicy.factor(0));
        assertMessage("factor: expected a number above 0, found NaN", () -> CapacityPolicy.factor(Double.NaN));
        assertMessage("rows: expected at least 0, found -1", () -> CapacityPolicy.fixed(-1));
        var topology = dev.dropless.topology.Topology.of(new int[] {0, 1, 0}, 1, 2);
        assertMessage(
                "batch: expected a divisor of the 3 tokens, found 2",
                () -> DropReport.of(topology, CapacityPolicy.maximumLoad(), 2));
        assertMessage(
                "capacity: expected numExperts * capacity below 2^31, found 2 * 2147483647",
                () -> DropReport.of(topology, CapacityPolicy.fixed(Integer.MAX_VALUE), 1));
    }

    private static void assertMessage(String expected, org.junit.jupiter.api.function.Executable call) {
        assertEquals(
                expected, assertThrows(IllegalArgumentException.class, call).getMessage());
    }
}
