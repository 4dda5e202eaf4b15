package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.reference.ReferenceBackend;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.Combination;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.WeightPlacement;
import dev.dropless.moe.contract.DeviceLayerContract;
import dev.dropless.moe.contract.LayerRun;
import dev.dropless.moe.router.ScoreRouter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Whole 16-bit layers with the Hopper engine on the CPU: every product of their experts is its own, results are those of float64, and nothing is copied, waited for or kept needlessly. */
class EmulatedHopperLayerTest {

    private static final ForwardOptions OPTIONS = ForwardOptions.evaluation();
    private static final int HIDDEN = 64;
    private static final int FFN = 40;
    private static final int EXPERTS = 4;
    private static final int TOP_K = 2;
    private static final int TOKENS = 40;

    /** up, down, down_dgrad, down_wgrad, up_dgrad, up_wgrad. */
    private static final int PRODUCTS = 6;

    private static final List<String> KERNELS = Stream.of(
                    "up_gated", "down", "down_dgrad", "up_dgrad", "up_wgrad", "down_wgrad")
            .map(name -> " dropless_hopper_%s_bf16 ".formatted(name))
            .toList();

    /** What a launch looks like that may start while the one before it ends. */
    private static final String EARLY = " attribute 6 = 1";

    private static MockDriver driver;

    @BeforeAll
    static void load() {
        driver = MockDriver.emulating();
    }

    @AfterAll
    static void nothingIsLeft() {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    private static MoeConfig.Builder config() {
        return MoeConfig.builder(HIDDEN, FFN, EXPERTS, ScoreRouter.softmaxTopK(TOP_K, true));
    }

    /** Plain experts with biases, their input weighted, beside a gated shared expert behind a gate. */
    private static MoeConfig shared() {
        Activation silu = Activation.of(Activation.Function.SILU);
        SharedExpert shared = new SharedExpert(new ExpertShape(1, HIDDEN, 24, true, true, true), silu, true);
        return config().gated(false)
                .activation(Activation.of(Activation.Function.GELU_TANH))
                .expertBiases(true, true)
                .weightPlacement(WeightPlacement.INPUT)
                .shared(shared, Combination.AVERAGE)
                .outputBias(true)
                .build();
    }

    private static Precision precision(ElementType type) {
        return new Precision(type, ElementType.F32, type);
    }

    private static CudaKernels open(HopperTuning tuning) {
        return driver.open(CudaEngine.HOPPER, tuning, 1);
    }

    private static LayerRun run(Kernels kernels, MoeConfig config, ElementType type, int tokens) {
        return new LayerRun(kernels, config, precision(type), type, tokens);
    }

    @TestFactory
    Stream<DynamicTest> everyProductOfExpertsIsTheEnginesAndTheLayerIsThatOfFloat64() {
        Map<String, MoeConfig> layers = new LinkedHashMap<>();
        layers.put("gated", config().build());
        layers.put("shared expert", shared());
        return layers.entrySet().stream()
                .flatMap(layer -> Stream.of(ElementType.BF16, ElementType.F16)
                        .map(type -> DynamicTest.dynamicTest(
                                layer.getKey() + " " + type, () -> compare(layer.getValue(), type))));
    }

    private static void compare(MoeConfig config, ElementType type) {
        // Tiles of pairs in one type, what is carried for so few rows in the other.
        HopperTuning tuning = type == ElementType.BF16 ? HopperTuningTest.PAIRS : HopperTuning.load();
        try (CudaKernels kernels = open(tuning);
                Kernels reference = new ReferenceBackend().open(BackendOptions.threads(1));
                LayerRun found = run(kernels, config, type, TOKENS);
                LayerRun expected = run(reference, config, type, TOKENS)) {
            assertThat(kernels.rows(type, type)).isEqualTo(type);
            DeviceLayerContract.check(found, expected, false, type == ElementType.BF16 ? 1e-2 : 2e-3, type.toString());
            int groups = config.shared() == null ? 1 : 2;
            assertThat(kernels.hopper().taken()).isGreaterThanOrEqualTo(groups * PRODUCTS);
            assertThat(kernels.diagnostics()).containsEntry("products of experts among them", "0");
            assertThat(driver.log())
                    .noneMatch(line -> line.matches("launch dropless_(up|down)(_dgrad|_wgrad)?_(f32|bf16|f16) .*"));
        }
    }

    @Test
    void rowsAreOfTheExpertsTypeWhereWeightsAndActivationsHaveIt() {
        for (CudaEngine engine : CudaEngine.values()) {
            try (CudaKernels kernels = driver.open(engine, HopperTuning.load(), 1)) {
                for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
                    assertThat(kernels.rows(type, type)).isEqualTo(type);
                    assertThat(kernels.rows(type, ElementType.F32)).isEqualTo(ElementType.F32);
                    assertThat(kernels.rows(ElementType.F32, type)).isEqualTo(ElementType.F32);
                }
                assertThat(kernels.rows(ElementType.BF16, ElementType.F16)).isEqualTo(ElementType.F32);
                assertThat(kernels.rows(ElementType.F32, ElementType.F32)).isEqualTo(ElementType.F32);
            }
        }
    }

    @Test
    void nothingIsCopiedAndNothingIsWaitedFor() {
        try (CudaKernels kernels = open(HopperTuningTest.PAIRS);
                LayerRun run = run(kernels, shared(), ElementType.BF16, TOKENS)) {
            for (MemoryPolicy policy : MemoryPolicy.values()) {
                driver.log();
                run.infer(OPTIONS);
                run.forwardAndBackward(OPTIONS, policy);
                List<String> log = driver.log();
                assertThat(log).anyMatch(line -> line.contains("dropless_hopper_up_wgrad_bf16"));
                assertThat(log).anyMatch(line -> line.startsWith("launch dropless_router_backward"));
                assertThat(log)
                        .allMatch(line -> line.startsWith("launch ")
                                || line.startsWith("launchEx ")
                                || line.matches("copy\\d? .*\\d")
                                || line.startsWith("attribute"));
                assertThat(log).noneMatch(line -> line.matches(".*\\b(in|out|synchronize)\\b.*"));
            }
        }
    }

    /**
     * Between forward and backward a layer of gated experts holds x, which is the caller's, and pre-activations: 2 T H + 4 T k F bytes in 16 bits. Beside them there are the logits (4 T C), ids and weights of
     * slots (8 T k), and the plan: three integers for each slot, three for each tile and one for each expert.
     */
    @Test
    void whatIsKeptForBackwardIsPreActivationsAndIntegers() {
        for (int tokens : new int[] {1, TOKENS, 300}) {
            try (CudaKernels kernels = open(HopperTuningTest.PAIRS);
                    LayerRun run = run(kernels, config().build(), ElementType.BF16, tokens)) {
                MemoryPolicy policy = MemoryPolicy.RECOMPUTE_ACTIVATION;
                run.forwardAndBackward(OPTIONS, policy); // tensor maps are made once
                long before = driver.openBytes();
                AtomicLong held = new AtomicLong();
                run.step(OPTIONS, policy, saved -> {
                    held.set(driver.openBytes() - before);
                    return List.of();
                });
                assertThat(driver.openBytes()).isEqualTo(before);
                long slots = (long) tokens * TOP_K;
                long preActivations = 4 * slots * FFN;
                long routing = 4L * tokens * EXPERTS + (8 + 12) * slots;
                long tiles = 12 * (slots / 128 + EXPERTS) + 4 * (EXPERTS + 1);
                long rounding = 256;
                assertThat(held.get())
                        .as("T = %d", tokens)
                        .isBetween(preActivations + routing, preActivations + routing + tiles + rounding);
                assertThat(policy.bytesPerToken(run.config(), Precision.BF16, ElementType.F32) * tokens)
                        .isEqualTo(preActivations + 4 * slots);
            }
        }
    }

    /** A graph brings its own maps, so that it can be repeated after others have taken the place of those it began with. */
    @Test
    void aGraphOfABfloat16LayerFollowsItsInput() {
        try (CudaKernels kernels = open(HopperTuningTest.PAIRS);
                LayerRun run = run(kernels, config().build(), ElementType.BF16, TOKENS)) {
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
            driver.log();
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
            List<String> eager = launches(driver.log());
            for (String kernel : List.of("up_gated", "down", "down_dgrad", "up_dgrad", "up_wgrad", "down_wgrad")) {
                assertThat(eager)
                        .anyMatch(
                                line -> line.startsWith("launchEx cluster 2x1x1 dropless_hopper_" + kernel + "_bf16"));
            }
            long before = kernels.hopper().taken();
            try (CudaGraph graph =
                    CudaGraph.record(kernels, () -> run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL))) {
                assertThat(kernels.hopper().taken()).isEqualTo(before + PRODUCTS);
                assertThat(kernels.hopper().refusedExperts()).isZero();
                List<String> log = driver.log();
                assertThat(launches(log)).isEqualTo(eager);
                assertThat(log).anyMatch(line -> line.startsWith("launch dropless_tensor_maps"));
                assertThat(log).noneMatch(line -> line.matches("launch dropless_tensor_maps.*recorded.*"));
                DeviceLayerContract.assertFollowsItsInput(
                        run, () -> run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL), graph::launch);
            }
        }
    }

    /** Kernels, without those that only make maps; how early they may start differs between a stream and a graph. */
    private static List<String> launches(List<String> log) {
        return log.stream()
                .filter(line -> line.startsWith("launch"))
                .filter(line -> !line.contains("dropless_tensor_maps"))
                .map(line -> line.replace(" recorded", "").replace(EARLY, ""))
                .toList();
    }

    /**
     * Kernels that wait for earlier ones themselves are told to start while those end: all of the engine's where kernels come before them, in a graph the second of two with nothing else between. The mock driver
     * refuses that for other kernels, and in graphs behind anything but a kernel.
     */
    @Test
    void kernelsThatWaitThemselvesStartEarly() {
        List<double[]> results = new ArrayList<>();
        for (boolean overlaps : new boolean[] {true, false}) {
            CudaSettings settings = new CudaSettings(CudaEngine.HOPPER, HopperTuningTest.PAIRS, overlaps);
            try (CudaKernels kernels = driver.open(settings, 1);
                    LayerRun run = run(kernels, config().build(), ElementType.BF16, TOKENS)) {
                run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
                driver.log();
                run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
                List<String> early = early(driver.log());
                assertThat(early).hasSize(overlaps ? PRODUCTS : 0);
                for (String kernel : overlaps ? KERNELS : List.<String>of()) {
                    assertThat(early).anyMatch(line -> line.contains(kernel));
                }
                assertThat(kernels.diagnostics())
                        .hasEntrySatisfying(
                                "kernels started early",
                                count -> assertThat(Integer.parseInt(count)).isGreaterThanOrEqualTo(early.size()));
                try (CudaGraph graph = CudaGraph.record(kernels, () -> run.infer(OPTIONS))) {
                    assertThat(early(driver.log()))
                            .hasSize(overlaps ? 1 : 0)
                            .allMatch(line -> line.contains(" dropless_hopper_down_bf16 "));
                    graph.launch();
                }
                results.add(run.y());
                results.add(run.dX());
            }
        }
        assertThat(results.get(0)).isEqualTo(results.get(2));
        assertThat(results.get(1)).isEqualTo(results.get(3));
    }

    private static List<String> early(List<String> log) {
        return log.stream().filter(line -> line.contains(EARLY)).toList();
    }

    @Test
    void overlapCanBeTurnedOff() {
        assertThat(CudaSettings.overlaps(null)).isTrue();
        assertThat(CudaSettings.overlaps("on")).isTrue();
        assertThat(CudaSettings.overlaps("off")).isFalse();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> CudaSettings.overlaps("no"))
                .withMessage("dropless.cuda.pdl: expected on or off, found \"no\"");
    }
}
