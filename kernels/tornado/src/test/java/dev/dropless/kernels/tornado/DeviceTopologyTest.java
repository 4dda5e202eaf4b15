package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.topology.Topology;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The sort on the device gives the arrays of the sort on the host. */
class DeviceTopologyTest {

    static Stream<Arguments> sizes() {
        return Stream.of(
                Arguments.of(0, 1, 3),
                Arguments.of(1, 1, 1),
                Arguments.of(5, 2, 4),
                Arguments.of(128, 2, 8),
                Arguments.of(333, 3, 5),
                Arguments.of(1000, 4, 64),
                Arguments.of(700, 1, 1));
    }

    @ParameterizedTest
    @MethodSource("sizes")
    void arraysAreThoseOfTheHost(int tokens, int topK, int numExperts) {
        Random random = new Random(7);
        int[] ids = random.ints((long) tokens * topK, -1, numExperts).toArray();
        Topology expected = Topology.of(ids, topK, numExperts);
        try (Device device = new Device(new JavaEngine(), false)) {
            int at = device.takeInts(ids);
            try (TornadoExpertPlan found =
                            TornadoExpertPlan.onDevice(device, at, tokens, topK, numExperts, () -> expected);
                    TornadoExpertPlan copied = TornadoExpertPlan.of(device, expected)) {
                assertThat(found.arrays()).isDeepEqualTo(copied.arrays());
                assertThat(found.sizes().rows()).isEqualTo(expected.rows());
                assertThat(found.topology()).isSameAs(expected);
            }
            device.giveInts(at);
            assertThat(device.allocations()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 130, 2500})
    void densePlansHaveOneExpert(int tokens) {
        try (TornadoKernels kernels = TornadoBackend.open(new JavaEngine(), 0);
                ExpertPlan made = kernels.routing().dense(tokens);
                ExpertPlan copied = kernels.experts().plan(Topology.dense(tokens))) {
            assertThat(((TornadoExpertPlan) made).arrays()).isDeepEqualTo(((TornadoExpertPlan) copied).arrays());
        }
    }
}
