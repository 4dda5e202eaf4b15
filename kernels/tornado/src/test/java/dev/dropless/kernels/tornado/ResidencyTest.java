package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.topology.Topology;
import org.junit.jupiter.api.Test;

/** What lies on the device stays there when the array grows, and is given back. */
class ResidencyTest {

    private static final double FACTOR = 3;

    @Test
    void matricesSurviveTheGrowthOfTheArray() {
        JavaEngine engine = new JavaEngine();
        try (TornadoKernels kernels = TornadoBackend.open(engine, 0);
                KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix early = scope.allocate(ElementType.F32, 30, 40);
            kernels.elementwise().fill(early, FACTOR);
            for (int n = 0; n < 5; n++) {
                kernels.elementwise().fill(scope.allocate(ElementType.F32, 1000, 700), n);
            }
            Matrix host = Matrix.of(new float[1200], 30, 40);
            kernels.memory().copy(early, host);
            assertThat(host.toDoubles()).containsOnly(FACTOR);
        }
        assertThat(engine.isClosed()).isTrue();
    }

    @Test
    void everythingIsGivenBack() {
        try (TornadoKernels kernels = TornadoBackend.open(new JavaEngine(), 0)) {
            Topology topology = Topology.of(new int[] {1, 0, 1}, 1, 2);
            kernels.experts().plan(topology).close();
            try (KernelMemory.Scope scope = kernels.memory().open()) {
                scope.allocate(ElementType.F32, 3, 3);
                assertThat(kernels.device().allocations()).isEqualTo(1);
            }
            assertThat(kernels.device().allocations()).isZero();
        }
    }

    @Test
    void otherTypesAreRefused() {
        try (TornadoKernels kernels = TornadoBackend.open(new JavaEngine(), 0);
                KernelMemory.Scope scope = kernels.memory().open()) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> scope.allocate(ElementType.F64, 1, 1))
                    .withMessageStartingWith("type: expected F32, BF16 or F16, found F64");
        }
    }

    @Test
    void aClosedDeviceSaysSo() {
        TornadoKernels kernels = TornadoBackend.open(new JavaEngine(), 0);
        kernels.close();
        assertThatIllegalStateException()
                .isThrownBy(() -> kernels.memory().open().allocate(ElementType.F32, 1, 1))
                .withMessage("these kernels are closed");
    }

    @Test
    void withoutAnSdkTheCauseNamesWhatIsMissing() {
        TornadoBackend backend = new TornadoBackend();
        assertThat(backend.availability().isAvailable()).isFalse();
        assertThat(backend.availability().cause()).contains("TORNADOVM_HOME").contains("docs/tornado.md");
        assertThat(backend.priority()).isBetween(1, 49);
    }
}
