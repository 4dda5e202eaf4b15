package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.WeightPlacement;
import dev.dropless.moe.contract.DeviceLayerContract;
import dev.dropless.moe.contract.LayerRun;
import dev.dropless.moe.router.ScoreRouter;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Layers with the mock driver and the kernels' own source on the CPU: results, and what reaches the driver meanwhile. */
class EmulatedLayerTest extends LayerContract {

    private static final ForwardOptions OPTIONS = ForwardOptions.evaluation();

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

    @Override
    protected Kernels open() {
        return CudaKernels.open(driver.availability(), CudaBackend.NAME, BackendOptions.threads(2));
    }

    /** Every option that needs something beside products. */
    private static MoeConfig config() {
        return everythingOn(4, 2, WeightPlacement.OUTPUT);
    }

    private void withLayer(java.util.function.BiConsumer<Kernels, LayerRun> body) {
        for (int tokens : new int[] {1, 9}) {
            try (Kernels kernels = open();
                    LayerRun run = new LayerRun(kernels, config(), Precision.F32, tokens)) {
                body.accept(kernels, run);
            }
        }
    }

    @Test
    void nothingIsCopiedAndNothingIsWaitedFor() {
        withLayer((kernels, run) -> {
            for (MemoryPolicy policy : MemoryPolicy.values()) {
                driver.log();
                run.infer(OPTIONS);
                run.forwardAndBackward(OPTIONS, policy);
                List<String> log = driver.log();
                assertThat(log).anyMatch(line -> line.startsWith("launch dropless_router_backward"));
                assertThat(log)
                        .allMatch(line -> line.startsWith("launch ")
                                || line.matches("copy\\d? .*\\d")
                                || line.startsWith("attribute"));
                assertThat(log).noneMatch(line -> line.matches(".*\\b(in|out|synchronize)\\b.*"));
            }
        });
    }

    @Test
    void aGraphOfTheForwardPassFollowsItsInput() {
        withLayer((kernels, run) -> {
            run.infer(OPTIONS);
            driver.log();
            run.infer(OPTIONS);
            List<String> eager = driver.log();
            try (CudaGraph graph = CudaGraph.record(kernels, () -> run.infer(OPTIONS))) {
                assertThat(launches(driver.log())).isEqualTo(launches(eager));
                for (long seed : new long[] {17, 18}) {
                    run.newBatch(seed);
                    graph.launch();
                    double[] recorded = run.y();
                    run.infer(OPTIONS);
                    assertThat(recorded).isEqualTo(run.y());
                }
            }
        });
    }

    @Test
    void aGraphOfForwardAndBackwardFollowsItsInput() {
        withLayer((kernels, run) -> {
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
            driver.log();
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
            List<String> eager = driver.log();
            try (CudaGraph graph =
                    CudaGraph.record(kernels, () -> run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL))) {
                assertThat(launches(driver.log())).isEqualTo(launches(eager));
                DeviceLayerContract.assertFollowsItsInput(
                        run, () -> run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL), graph::launch);
            }
        });
    }

    /** Kernel, grid and shared memory of every launch. */
    private static List<String> launches(List<String> log) {
        return log.stream()
                .filter(line -> line.startsWith("launch "))
                .map(line -> line.replace(" recorded", ""))
                .toList();
    }

    @Test
    void aDeviceWithoutMemoryIsNamedAndNothingLeaks() {
        try (Kernels kernels = open();
                LayerRun run = new LayerRun(kernels, config(), Precision.F32, 9)) {
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
            long before = driver.openBytes();
            int failures = 0;
            for (long more = 0; more < 40_000; more += 700) {
                driver.memoryLimit(before + more);
                try {
                    run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
                } catch (CudaException e) {
                    failures++;
                    assertThat(e.isOutOfMemory()).isTrue();
                    assertThat(e).hasMessageContaining("the device has no memory left for this");
                }
                assertThat(driver.openBytes()).as("with %d bytes", more).isEqualTo(before);
            }
            driver.memoryLimit(1L << 40);
            assertThat(failures).isGreaterThan(5);
            run.forwardAndBackward(OPTIONS, MemoryPolicy.SAVE_ALL);
        }
    }

    @Test
    void aLostDeviceIsNamedAndNothingLeaks() {
        try (Kernels kernels = open();
                LayerRun run = new LayerRun(kernels, config(), Precision.F32, 9)) {
            long before = driver.openBytes();
            for (String function : List.of("cuLaunchKernel", "cuMemAllocAsync")) {
                driver.fail(function, 719);
                assertThatExceptionOfType(CudaException.class)
                        .isThrownBy(() -> run.infer(OPTIONS))
                        .withMessageContaining("the device is lost to this process: start a new one")
                        .matches(CudaException::isDeviceLost);
                assertThat(driver.openBytes()).isEqualTo(before);
            }
        }
    }

    @Test
    void everyArchitectureLoadsTheImagesThatAreForIt() {
        for (int architecture : new int[] {80, 89, 90, 120}) {
            driver.device(13000, architecture, 1);
            try (Kernels kernels = open();
                    LayerRun run = new LayerRun(kernels, config(), Precision.F32, 2)) {
                assertThat(kernels.description()).contains(KernelImages.architectureFor(architecture));
                run.infer(OPTIONS);
            }
        }
        driver.device(13000, 90, 1);
    }

    @Test
    void devicesThatCannotBeOpenedLeaveNothingOpen() {
        driver.fail("cuModuleLoadData", 209);
        assertThatExceptionOfType(CudaException.class)
                .isThrownBy(this::open)
                .withMessageContaining("sm_80 or newer is needed");
        driver.fail("cuDevicePrimaryCtxRetain", 2);
        assertThatExceptionOfType(CudaException.class)
                .isThrownBy(this::open)
                .withMessageContaining("taking the context of device 0: CUDA_ERROR_OUT_OF_MEMORY");
        driver.device(13000, 75, 1);
        assertThatIllegalStateException().isThrownBy(this::open).withMessageContaining("sm_75");
        driver.device(11080, 90, 1);
        assertThatIllegalStateException().isThrownBy(this::open).withMessageContaining("CUDA 11.8");
        driver.device(13000, 90, 1);
        assertThat(driver.openHandles()).isZero();
    }

    @Test
    void aRecordingThatFailsIsAbandoned() {
        try (Kernels kernels = open();
                LayerRun run = new LayerRun(kernels, config(), Precision.F32, 3)) {
            assertThatIllegalStateException()
                    .isThrownBy(() -> CudaGraph.record(kernels, run::y))
                    .withMessageContaining("cannot be recorded in a graph");
            run.infer(OPTIONS);
            assertThat(run.y()).isNotEmpty();
        }
    }

    @Test
    void theRoutingIsGoneWithItsState() {
        try (Kernels kernels = open();
                LayerRun run = new LayerRun(
                        kernels, config(4, ScoreRouter.softmaxTopK(2, false)).build(), Precision.F32, 3)) {
            AtomicReference<SavedState> state = new AtomicReference<>();
            run.step(OPTIONS, MemoryPolicy.SAVE_ALL, saved -> {
                state.set(saved);
                return List.of();
            });
            assertThatIllegalStateException()
                    .isThrownBy(() -> state.get().routing())
                    .withMessageContaining("before the state is used");
        }
    }
}
