package dev.dropless.kernels.cpu;

class ScalarContractTest extends CpuContract {

    @Override
    TileKernels tier() {
        return CpuTier.SCALAR.create();
    }
}
