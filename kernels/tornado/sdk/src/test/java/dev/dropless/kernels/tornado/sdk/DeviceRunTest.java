package dev.dropless.kernels.tornado.sdk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** That it is the device that computes, and what keeps it from doing so. */
class DeviceRunTest {

    private static final int AT = 1000;
    private static final int COUNT = 50;
    private static final float VALUE = 7;

    private final TornadoEngineProvider provider = new TornadoEngineProvider();

    @BeforeEach
    void aDeviceIsThere() {
        Availability availability = provider.availability();
        assumeTrue(availability.isAvailable(), availability.cause());
    }

    private static float[] host(TornadoEngine engine) {
        return DeviceArrays.elements(engine.arrays().floats())
                .asSlice(4L * AT, 4L * COUNT)
                .toArray(ValueLayout.JAVA_FLOAT);
    }

    /** Run as Java, a kernel would write to the host's copy of the array: only the device has another one. */
    @Test
    void kernelsWriteToTheDeviceAndNotToTheHost() {
        try (TornadoEngine engine = new TornadoEngine(DeviceChoice.of("0:0"))) {
            engine.launch(Kernel.FILL, new int[] {1, COUNT, AT, COUNT}, new float[] {VALUE}, COUNT, 1);
            assertThat(host(engine)).containsOnly(0);
            assertThat(engine.read(AT, COUNT).toArray(ValueLayout.JAVA_FLOAT)).containsOnly(VALUE);
            assertThat(host(engine)).containsOnly(VALUE);
        }
    }

    @Test
    void arraysKeepTheirContentWhenTheyGrow() {
        try (TornadoEngine engine = new TornadoEngine(DeviceChoice.of("0:0"))) {
            engine.launch(Kernel.FILL, new int[] {1, COUNT, AT, COUNT}, new float[] {VALUE}, COUNT, 1);
            MemorySegment staged = engine.intStaging(COUNT);
            for (int i = 0; i < COUNT; i++) {
                staged.setAtIndex(ValueLayout.JAVA_INT, i, i);
            }
            engine.scatterInts(COUNT, AT);
            engine.reserve(3 << 20, 1 << 17, 1 << 17);
            assertThat(engine.read(AT, COUNT).toArray(ValueLayout.JAVA_FLOAT)).containsOnly(VALUE);
            assertThat(engine.readInts(AT, COUNT).toArray(ValueLayout.JAVA_INT))
                    .startsWith(0, 1, 2)
                    .endsWith(COUNT - 1);
        }
    }

    @Test
    void everyKernelIsCompiledForTheDevice() {
        try (Engine engine = provider.open("")) {
            for (Kernel kernel : Kernel.values()) {
                boolean supported = engine.hasTensorCores() || !kernel.usesTensorCores();
                if (supported && kernel != Kernel.COPY_BLOCKS) { // divides by the width of a block
                    engine.launch(kernel, new int[Engine.WORDS], new float[Engine.CONSTANTS], 1, 1);
                }
            }
            assertThat(engine.describe()).isNotBlank();
        }
    }

    @Test
    void tensorCoresAreRefusedWhereTheyAreNot() {
        try (Engine engine = provider.open("")) {
            assumeFalse(engine.hasTensorCores(), "a device with tensor cores");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> engine.launch(Kernel.PRODUCT_BF16, new int[1], new float[0], 1, 1))
                    .withMessageStartingWith("kernel: expected one without tensor cores on ");
        }
    }

    @Test
    void devicesThatAreNotThereAreRefused() {
        for (String name : new String[] {"0:99", "7:0", "gpu", "0"}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> provider.open(name))
                    .withMessageStartingWith("dropless.tornado.device: expected backend:device, one of 0:0 ")
                    .withMessageEndingWith("found " + name);
        }
    }

    @Test
    void silentFallBacksAreRefused() {
        String before = System.setProperty("tornado.recover.bailout", "True");
        try {
            assertThat(provider.availability().cause()).contains("-Dtornado.recover.bailout=False");
        } finally {
            System.setProperty("tornado.recover.bailout", String.valueOf(before));
        }
    }

    @Test
    void missingOptionsAreNamed() {
        String option = "tornado.load.runtime.implementation";
        String before = System.clearProperty(option);
        try {
            assertThat(provider.availability().cause()).contains("tornado-argfile");
        } finally {
            System.setProperty(option, String.valueOf(before));
        }
    }
}
