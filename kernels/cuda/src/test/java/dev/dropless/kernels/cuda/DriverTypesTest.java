package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The small types over the driver: what reaches the driver, what is given back, what failures say. */
class DriverTypesTest {

    private static final byte[] CUBIN = {0x7f, 'E', 'L', 'F', 0};

    private static MockDriver driver;
    private DeviceContext context;

    @BeforeAll
    static void load() {
        driver = MockDriver.load();
        driver.signature("words", "l".repeat(20));
        driver.signature("dropless_hopper_mapped", "lT");
    }

    @BeforeEach
    void open() {
        context = driver.open();
        driver.log();
    }

    @AfterEach
    void nothingIsLeft() {
        context.close();
        context.close();
        assertThat(context.handles().count()).isZero();
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    @Test
    void everyHandleIsCountedAndGivenBackOnce() {
        DeviceStream stream = new DeviceStream(context);
        DeviceEvent event = new DeviceEvent(context);
        DeviceModule module = new DeviceModule(context, "test", CUBIN);
        DeviceBuffer buffer = DeviceBuffer.allocate(context, stream, 1000);
        DeviceBuffer empty = DeviceBuffer.allocate(context, stream, 0);
        stream.beginCapture();
        assertThat(stream.isCapturing()).isTrue();
        DeviceGraph graph = stream.endCapture();
        assertThat(context.handles().count()).isEqualTo(6);
        assertThat(driver.openBytes()).isEqualTo(1000);
        assertThat(empty.address()).isZero();
        assertThat(buffer.address() % 256).isZero();
        assertThat(module.function("words")).isSameAs(module.function("words"));
        for (int i = 0; i < 2; i++) {
            graph.close();
            empty.close();
            buffer.close();
            module.close();
            event.close();
            stream.close();
        }
        assertThat(context.handles().count()).isZero();
    }

    @Test
    void whatUsersForgetIsFreedWithTheContext() {
        DeviceStream stream = new DeviceStream(context);
        DeviceBuffer.allocate(context, stream, 77);
        assertThat(context.handles().describe()).isEqualTo("{device memory=1, stream=1}");
    }

    @Test
    void argumentsArriveWordForWord() {
        try (DeviceStream stream = new DeviceStream(context);
                DeviceModule module = new DeviceModule(context, "test", CUBIN);
                KernelArguments arguments = new KernelArguments()) {
            MemorySpace space = new MemorySpace("cuda", 0);
            Matrix matrix = new Matrix(MemorySegment.ofAddress(0x7f0000001000L), ElementType.BF16, 5, 3, 4, 9, space);
            arguments
                    .matrix(matrix)
                    .matrix(null)
                    .word(-1)
                    .flag(true)
                    .number(1.5)
                    .activation(new Activation(Activation.Function.SILU, 1.702, 7, 7, 1));
            MemorySegment words = arguments.table().reinterpret(64).get(java.lang.foreign.ValueLayout.ADDRESS, 0);
            assertThat(words.reinterpret(8).get(java.lang.foreign.ValueLayout.JAVA_LONG, 0))
                    .isEqualTo(0x7f000000100aL);
            assertThat(words.reinterpret(112).toArray(java.lang.foreign.ValueLayout.JAVA_LONG))
                    .containsExactly(
                            0x7f000000100aL,
                            9,
                            1,
                            0,
                            0,
                            0,
                            -1,
                            1,
                            Double.doubleToRawLongBits(1.5),
                            3,
                            Double.doubleToRawLongBits(1.702),
                            Double.doubleToRawLongBits(7),
                            Double.doubleToRawLongBits(7),
                            Double.doubleToRawLongBits(1));
            driver.log();
            module.function("dropless_hopper_mapped")
                    .launch(stream, Launch.of(3, 256, 1000), arguments.structure(map(128)));
            assertThat(driver.log())
                    .singleElement()
                    .asString()
                    .startsWith("launch dropless_hopper_mapped grid 3x1x1 block 256x1x1 shared 1000: 7f000000100a T");
        }
    }

    private static MemorySegment map(int bytes) {
        return Arena.ofAuto().allocate(bytes, 128);
    }

    @Test
    void sharedMemoryIsAllowedOnceAndEmptyGridsAreNotStarted() {
        try (DeviceStream stream = new DeviceStream(context);
                DeviceModule module = new DeviceModule(context, "test", CUBIN);
                KernelArguments arguments = new KernelArguments()) {
            DeviceFunction function = module.function("plain");
            driver.log();
            function.launch(stream, Launch.of(0, 256, 70_000), arguments);
            assertThat(driver.log()).isEmpty();
            function.launch(stream, Launch.of(1, 256, 70_000), arguments);
            function.launch(stream, Launch.of(2, 3, 4, 256, 70_000), arguments);
            assertThat(driver.log())
                    .containsExactly(
                            "attribute 8 of plain = 70000",
                            "launch plain grid 1x1x1 block 256x1x1 shared 70000:",
                            "launch plain grid 2x3x4 block 256x1x1 shared 70000:");
        }
    }

    @Test
    void clustersAndDependentLaunchesGoThroughTheExtendedLaunch() {
        try (DeviceStream stream = new DeviceStream(context);
                DeviceModule module = new DeviceModule(context, "test", CUBIN);
                KernelArguments arguments = new KernelArguments()) {
            arguments.word(0xabcdL);
            driver.log();
            module.function("dropless_hopper_mapped")
                    .launch(stream, new Launch(4, 2, 1, 384, 0, 2, true), arguments.structure(map(128)));
            assertThat(driver.log())
                    .singleElement()
                    .asString()
                    .startsWith(
                            "launchEx cluster 2x1x1 attribute 6 = 1 dropless_hopper_mapped grid 4x2x1 block 384x1x1 shared 0: abcd T");
        }
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new Launch(3, 1, 1, 256, 0, 2, false))
                .withMessage("gridX: expected a multiple of clusterX = 2, found 3");
    }

    @Test
    void tensorMapsAreDescribed() {
        MemorySegment map = map(DriverExtras.TENSOR_MAP_BYTES);
        context.extras()
                .encodeTensorMap(
                        map, 9, 0x10000, new long[] {64, 5_000_000_000L}, new long[] {128}, new int[] {64, 128}, 3, 0);
        assertThat(driver.log())
                .containsExactly(
                        "tensor map type 9 rank 2 at 10000: 64[box 64 step 1] 5000000000(stride 128)[box 128 step 1]"
                                + " interleave 0 swizzle 3 promotion 0 fill 0");
    }

    @Test
    void graphsRecordAndRun() {
        try (DeviceStream stream = new DeviceStream(context);
                DeviceModule module = new DeviceModule(context, "test", CUBIN);
                KernelArguments arguments = new KernelArguments()) {
            driver.log();
            stream.beginCapture();
            module.function("plain").launch(stream, Launch.of(1, 32, 0), arguments);
            try (DeviceGraph graph = stream.endCapture()) {
                graph.launch(stream);
                graph.launch(stream);
            }
            assertThat(driver.log())
                    .containsExactly(
                            "capture mode 1",
                            "launch plain grid 1x1x1 block 32x1x1 shared 0 recorded:",
                            "launch graph",
                            "launch graph");
            driver.fail("cuGraphInstantiate", 900);
            stream.beginCapture();
            assertThatExceptionOfType(CudaException.class)
                    .isThrownBy(stream::endCapture)
                    .withMessageContaining("cannot be part of a graph");
        }
    }

    @Test
    void eventsTimeAndOrder() {
        try (DeviceStream stream = new DeviceStream(context);
                DeviceEvent start = new DeviceEvent(context);
                DeviceEvent end = new DeviceEvent(context)) {
            start.record(stream);
            end.record(stream);
            end.holdBack(stream);
            end.synchronize();
            assertThat(end.millisecondsSince(start)).isEqualTo(1.5f);
        }
    }

    @Test
    void failuresNameWhatFailedAndWhatHelps() {
        try (DeviceStream stream = new DeviceStream(context)) {
            driver.memoryLimit(4096);
            assertThatExceptionOfType(CudaException.class)
                    .isThrownBy(() -> DeviceBuffer.allocate(context, stream, 5000))
                    .withMessage(
                            "allocating 5000 bytes on device 0 (4096 of 4096 bytes free): CUDA_ERROR_OUT_OF_MEMORY (2),"
                                    + " the device has no memory left for this")
                    .matches(CudaException::isOutOfMemory);
            driver.memoryLimit(1L << 40);
            driver.fail("cuStreamSynchronize", 700);
            assertThatExceptionOfType(CudaException.class)
                    .isThrownBy(stream::synchronize)
                    .withMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS (700), the device is lost to this process")
                    .matches(CudaException::isDeviceLost);
            driver.fail("cuModuleLoadData", 209);
            assertThatExceptionOfType(CudaException.class)
                    .isThrownBy(() -> new DeviceModule(context, "experts", CUBIN))
                    .withMessage("loading kernels experts: CUDA_ERROR_NO_BINARY_FOR_GPU (209),"
                            + " the kernels were built for other architectures: sm_80 or newer is needed")
                    .matches(e -> !e.isDeviceLost() && e.result() == 209);
            try (DeviceModule module = new DeviceModule(context, "experts", CUBIN)) {
                assertThatExceptionOfType(CudaException.class)
                        .isThrownBy(() -> module.function("absent"))
                        .withMessageStartingWith("finding kernel absent in experts: CUDA_ERROR_NOT_FOUND (500)");
            }
        }
    }
}
