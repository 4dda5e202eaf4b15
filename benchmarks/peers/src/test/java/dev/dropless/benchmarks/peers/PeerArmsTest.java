package dev.dropless.benchmarks.peers;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.benchmarks.Arm;
import dev.dropless.benchmarks.ArmProvider;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.benchmarks.MoeShape;
import dev.dropless.benchmarks.RoutingPattern;
import dev.dropless.benchmarks.Task;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Every peer is found and computes what we compute, by the check that our own arms pass. */
class PeerArmsTest {

    private static final MoeShape TINY = MoeShape.named("tiny");
    private static final MoeShape UNGATED = new MoeShape("ungated", 32, 24, 4, 1, false, 1);

    private static LayerTask layer(MoeShape shape, RoutingPattern pattern, String dtype) {
        return new LayerTask(shape, 37, pattern, false, dtype, 1);
    }

    @TestFactory
    Stream<DynamicTest> everyPeerPassesItsCheck() {
        PeerArms peers = new PeerArms();
        return Stream.of(
                        layer(TINY, RoutingPattern.ZIPF, "f32"),
                        layer(TINY, RoutingPattern.ONE_HOT, "f32"),
                        layer(TINY, RoutingPattern.HOLES, "bf16"),
                        layer(UNGATED, RoutingPattern.UNIFORM, "f32"),
                        new GemmTask(7, 33, 65, 1))
                .flatMap(task -> peers.arms(task).stream()
                        .filter(arm -> peers.unavailable(arm, task) == null)
                        .map(arm -> DynamicTest.dynamicTest(arm + " " + task, () -> {
                            try (Arm opened = peers.open(arm, task)) {
                                assertThat(opened.run()).isNotNull();
                                assertThat(opened.check()).isBetween(0.0, 4e-2);
                                assertThat(opened.computedFlops()).isGreaterThanOrEqualTo(task.usefulFlops());
                            }
                        })));
    }

    @Test
    void whatAPeerCannotDoHasACause() {
        Task backward = new LayerTask(TINY, 3, RoutingPattern.ZIPF, true, "f32", 1);
        assertThat(new PeerArms().arms(backward))
                .allSatisfy(arm ->
                        assertThat(new PeerArms().unavailable(arm, backward)).isNotBlank());
        assertThat(new PeerArms().unavailable("openblas", layer(TINY, RoutingPattern.ZIPF, "bf16")))
                .isNotBlank();
    }

    @Test
    void theServiceLoaderFindsThem() {
        GemmTask task = new GemmTask(2, 3, 4, 1);
        assertThat(ArmProvider.of("openblas", task)).isInstanceOf(PeerArms.class);
        assertThat(ArmProvider.of("dropless", task)).isNotInstanceOf(PeerArms.class);
    }
}
