package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.contract.DeviceLayerContract;

/** Whole layers that route with this back end's kernels, run as plain Java. */
class PlainJavaLayerTest extends DeviceLayerContract {

    @Override
    protected Kernels open() {
        return new TornadoKernels(new Device(new JavaEngine(), false), 0);
    }
}
