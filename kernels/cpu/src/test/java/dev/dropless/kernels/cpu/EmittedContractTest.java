package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeAll;

class EmittedContractTest extends CpuContract {

    @BeforeAll
    static void needsTheTier() {
        assumeTrue(CpuTier.EMITTED.disqualifier() == null, CpuTier.EMITTED.disqualifier());
    }

    @Override
    TileKernels tier() {
        return CpuTier.EMITTED.create();
    }
}
