package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The contract of the portable engine with the mock driver, and the kernels' own source run thread by thread on the CPU: host side and kernels together, without a device. */
class EmulatedContractTest extends CudaContract {

    private static MockDriver driver;
    private static SymbolLookup kernels;

    @BeforeAll
    static void load() {
        driver = MockDriver.load();
        kernels = MockDriver.emulation();
        driver.executeWith(kernels.find("emulated_launch").orElseThrow());
    }

    @Test
    void launchesGiveTheSharedMemoryThatKernelsNeed() throws Throwable {
        MethodHandle bytes = Linker.nativeLinker()
                .downcallHandle(
                        kernels.find("emulated_shared_bytes").orElseThrow(),
                        FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
        KernelManifest manifest = KernelManifest.load();
        List<String> names = List.of("up_f32", "up_bf16", "up_f16", "bias_grad");
        for (int i = 0; i < names.size(); i++) {
            assertThat((long) bytes.invokeExact(i))
                    .as(names.get(i))
                    .isEqualTo(manifest.launch("dropless_" + names.get(i)).sharedBytes());
        }
    }

    @AfterAll
    static void nothingIsLeft() {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    /** A CPU takes a thousand times as long as a GPU for the real sizes. */
    @Override
    protected int gridScale() {
        return 32;
    }

    @Override
    protected Kernels open(int threads) {
        return driver.open(CudaEngine.PORTABLE, HopperTuning.load(), threads);
    }
}
