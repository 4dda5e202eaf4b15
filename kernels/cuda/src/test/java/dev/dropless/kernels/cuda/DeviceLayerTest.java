package dev.dropless.kernels.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import org.junit.jupiter.api.BeforeAll;

/** Layers on the device of this machine; skipped, with the reason, where there is none. */
class DeviceLayerTest extends LayerContract {

    @BeforeAll
    static void aDeviceIsThere() {
        Availability availability = new CudaBackend().availability();
        assumeTrue(availability.isAvailable(), availability.cause());
    }

    @Override
    protected Kernels open() {
        return new CudaBackend().open(BackendOptions.threads(2));
    }
}
