package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.kernels.cpu.x86.Assembler.Width;
import org.junit.jupiter.api.BeforeAll;

/** The tier of emitted code with products of bfloat16 pairs, whether they are the faster ones here or not. */
class EmittedPairsContractTest extends CpuContract {

    @BeforeAll
    static void needsTheInstruction() {
        assumeTrue(CpuTier.EMITTED.disqualifier() == null, CpuTier.EMITTED.disqualifier());
        assumeTrue(EmittedSupport.hasPairs(), "the processor has no dot products of bfloat16 pairs");
    }

    @Override
    TileKernels tier() {
        return new EmittedKernels(Width.ZMM, CpuTier.VECTOR.create(), true);
    }
}
