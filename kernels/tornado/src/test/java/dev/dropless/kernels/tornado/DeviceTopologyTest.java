package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.topology.Topology;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

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
            try (DeviceTopology found = new DeviceTopology(device, ids, numExperts)) {
                int[] offsets = new int[numExperts + 1];
                Arrays.setAll(offsets, expected::offset);
                assertThat(found.readOffsets()).isEqualTo(offsets);
                assertThat(found.readRowOfSlot()).isEqualTo(expected.rowOfSlot());
                assertThat(Arrays.copyOf(found.readSlotOfRow(), expected.rows()))
                        .isEqualTo(expected.slotOfRow());
            }
            assertThat(device.allocations()).isZero();
        }
    }
}
