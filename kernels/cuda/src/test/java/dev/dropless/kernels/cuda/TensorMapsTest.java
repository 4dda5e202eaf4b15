package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** How long tensor maps are kept, and when they are made, with a driver that runs no kernels. */
class TensorMapsTest {

    private static MockDriver driver;

    @BeforeAll
    static void load() {
        driver = MockDriver.load();
    }

    @AfterAll
    static void nothingIsLeft() {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    private static CudaKernels open() {
        return driver.open(CudaEngine.HOPPER, HopperTuning.load(), 1);
    }

    /** Maps of three matrices. */
    private static List<List<TensorMaps.Fields>> sets(KernelMemory.Scope scope) {
        return Stream.of(8, 16, 24)
                .map(columns -> List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, columns), 64)))
                .toList();
    }

    /** Maps are made once, again for other matrices, and again where others took their place. */
    @Test
    void mapsAreKeptAsLongAsThereIsRoom() {
        try (CudaKernels kernels = open();
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<List<TensorMaps.Fields>> sets = sets(scope);
            List<Long> places = new ArrayList<>();
            for (int i : new int[] {0, 1, 0, 2, 0, 1}) {
                maps.with(sets.get(i), places::add);
            }
            assertThat(maps.made()).isEqualTo(4);
            assertThat(places.get(2))
                    .isEqualTo(places.get(0))
                    .isEqualTo(places.get(4))
                    .isNotEqualTo(places.get(1));
            assertThat(places.get(3)).isEqualTo(places.get(1)).isEqualTo(places.get(5));
            assertThat(places).allMatch(address -> address % 128 == 0);
        }
    }

    /** Those of a recording are made once, behind it; without a place for them the graph makes them each time. */
    @Test
    void mapsOfARecordingAreItsOwn() {
        try (CudaKernels kernels = open();
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<List<TensorMaps.Fields>> sets = sets(scope);
            List<Long> places = new ArrayList<>();
            maps.with(sets.get(0), places::add);
            driver.log();
            try (TensorMaps.Recorded recorded = maps.beginRecording()) {
                kernels.stream().beginCapture();
                for (int i : new int[] {0, 1, 0, 2}) {
                    maps.with(sets.get(i), places::add);
                }
                assertThat(driver.log().stream().filter(line -> line.startsWith("launch")))
                        .singleElement()
                        .asString()
                        .matches("launch dropless_tensor_maps .* recorded:.*");
                try (DeviceGraph graph = kernels.stream().endCapture()) {
                    recorded.make();
                    assertThat(driver.log())
                            .hasSize(2)
                            .allMatch(line -> line.startsWith("launch dropless_tensor_maps "))
                            .noneMatch(line -> line.contains("recorded"));
                    graph.launch(kernels.stream());
                }
            }
            assertThat(places.get(1)).isEqualTo(places.get(3));
            assertThat(places.stream().distinct()).hasSize(4);
            maps.with(sets.get(0), places::add);
            assertThat(places.getLast()).isEqualTo(places.getFirst());
        }
    }

    /** A set whose maps could not be made is not taken for made. */
    @Test
    void mapsThatCouldNotBeMadeAreMadeNextTime() {
        try (CudaKernels kernels = open();
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<TensorMaps.Fields> set = List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, 8), 64));
            maps.with(set, address -> {});
            List<TensorMaps.Fields> other = List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, 16), 64));
            driver.fail("cuLaunchKernel", 719);
            assertThatExceptionOfType(CudaException.class).isThrownBy(() -> maps.with(other, address -> {}));
            driver.log();
            maps.with(other, address -> {});
            assertThat(driver.log())
                    .anyMatch(line -> line.startsWith("launch dropless_tensor_maps grid 1x1x1 block 32"));
        }
    }
}
