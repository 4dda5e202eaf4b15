package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What users are told when CUDA cannot be used, and that asking does no harm: JCuda works afterwards in the same JVM. */
class CudaAvailabilityTest {

    private static void assertCause(Availability availability, String... parts) {
        assertThat(availability.isAvailable()).isFalse();
        assertThat(availability.cause()).contains(parts);
        assertThat(availability.cause().lines()).hasSize(1);
    }

    @Test
    void everyCauseIsNamedAndNothingIsPoisoned() {
        CudaAvailability missing = CudaAvailability.of("libcuda-that-is-not-there.so.1");
        assertCause(missing.availability(), "no NVIDIA driver", "libcuda-that-is-not-there.so.1");
        assertThatIllegalStateException()
                .isThrownBy(() -> CudaKernels.open(missing, "cuda", BackendOptions.defaults()))
                .withMessageContaining("backend cuda is not available: no NVIDIA driver");

        assertCause(CudaAvailability.of("libm.so.6").availability(), "libm.so.6 is no CUDA driver");

        Path old = MockDriver.compile("gcc", List.of(), "oldcuda.c", "liboldcuda.so");
        assertCause(
                CudaAvailability.of(old.toString()).availability(),
                "too old",
                "CUDA 11.4",
                "12.0 or newer",
                "cuLaunchKernelEx");

        MockDriver driver = MockDriver.load();
        driver.device(11080, 90, 1);
        assertCause(driver.availability().availability(), "too old", "CUDA 11.8");
        driver.device(13000, 75, 1);
        assertCause(driver.availability().availability(), "sm_80 or newer", "Mock device 0, sm_75");
        driver.device(13000, 90, 0);
        assertCause(driver.availability().availability(), "no device", "CUDA_VISIBLE_DEVICES");
        driver.device(13000, 90, 1);
        driver.fail("cuInit", 100);
        assertCause(driver.availability().availability(), "CUDA_ERROR_NO_DEVICE (100)");
        driver.fail("cuInit", 803);
        assertCause(driver.availability().availability(), "803", "restart or reinstall the driver");
        driver.fail("cuDeviceGetCount", 999);
        assertCause(driver.availability().availability(), "CUDA_ERROR_UNKNOWN (999)");

        CudaAvailability found = driver.availability();
        assertThat(found.cause()).isNull();
        assertThat(found.availability().description())
                .isEqualTo("Mock device 0, sm_90, 4 multiprocessors, 8192 MiB; driver for CUDA 13.0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DeviceContext.open(found.probe(), found.library(), 3))
                .withMessage("device: expected 0..0, found 3");
        driver.device(13000, 75, 1);
        DriverProbe mixed = new DriverProbe(null, 13000, List.of(new DriverProbe.Device("Old", 70, 1, 1)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DeviceContext.open(mixed, found.library(), 0))
                .withMessageContaining("expected architecture sm_80 or newer, found Old, sm_70");
    }

    @Test
    void nativesThatAreMissingAreNamedWithoutLoadingAnything() {
        assertThat(CudaAvailability.missingNative(CudaAvailability.DRIVER_NATIVE))
                .isEmpty();
        assertThat(CudaAvailability.missingNative("JCudaNothing-1.0").orElseThrow())
                .contains("libJCudaNothing-1.0-linux-x86_64.so", "-Djava.library.path");
    }

    @Test
    void imagesFitTheDevice() {
        assertThat(KernelImages.architectureFor(80)).isEqualTo("sm_80");
        assertThat(KernelImages.architectureFor(89)).isEqualTo("sm_80");
        assertThat(KernelImages.architectureFor(90)).isEqualTo("sm_90a");
        assertThat(KernelImages.architectureFor(100)).isEqualTo("ptx");
    }
}
