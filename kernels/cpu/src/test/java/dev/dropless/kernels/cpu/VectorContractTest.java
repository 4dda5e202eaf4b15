package dev.dropless.kernels.cpu;

class VectorContractTest extends CpuContract {

    @Override
    TileKernels tier() {
        return CpuTier.VECTOR.create();
    }
}
