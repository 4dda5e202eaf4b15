package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.moe.contract.DeviceLayerContract;
import dev.dropless.topology.Topology;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The contract of layers on a device, and the plans that this back end makes there. */
abstract class LayerContract extends DeviceLayerContract {

    /** Ids of a plan made on the device are those that the host's builder sorts. */
    @TestFactory
    Stream<DynamicTest> densePlans() {
        return Set.of(0, 1, 130, 2500).stream()
                .map(tokens -> DynamicTest.dynamicTest("T = " + tokens, () -> {
                    try (CudaKernels kernels = (CudaKernels) open();
                            CudaExpertPlan made =
                                    (CudaExpertPlan) kernels.routing().dense(tokens);
                            CudaExpertPlan copied = CudaExpertPlan.of(kernels.memory(), Topology.dense(tokens))) {
                        assertThat(made.arrays()).isDeepEqualTo(copied.arrays());
                    }
                }));
    }
}
