package dev.dropless.kernels.tornado.sdk;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.kernels.tornado.TornadoBackend;
import dev.dropless.moe.contract.DeviceLayerContract;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;

/** Whole layers on the device of this machine, their router there too; skipped, with the reason, where there is none. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class DeviceLayerTest extends DeviceLayerContract {

    private @Nullable Kernels kernels;

    @BeforeAll
    void aDeviceIsThere() {
        Availability availability = new TornadoBackend().availability();
        assumeTrue(availability.isAvailable(), availability.cause());
    }

    @BeforeEach
    void kernelsAreThere() {
        if (kernels == null) {
            kernels = new TornadoBackend().open(BackendOptions.threads(1));
        }
    }

    @AfterAll
    void closeKernels() {
        if (kernels != null) {
            kernels.close();
        }
    }

    @Override
    protected Kernels open() {
        return Objects.requireNonNull(kernels);
    }

    /** Every opened back end compiles its kernels. */
    @Override
    protected void release(Kernels opened) {}
}
