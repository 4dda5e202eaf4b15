package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import org.junit.jupiter.api.Nested;

/** The contract on the CPU back end, in the precisions that it computes in. */
class CpuLayerTest {

    private static Kernels cpu() {
        return Backends.byName("cpu").open(BackendOptions.threads(2));
    }

    @Nested
    class InSingle extends LayerContract {
        @Override
        Kernels open() {
            return cpu();
        }

        @Override
        Precision precision() {
            return Precision.F32;
        }

        @Override
        double tolerance() {
            return 5e-5; // sums of single-precision roundings, amplified where gradients of the router cancel
        }
    }

    /** Weights and activations in bfloat16, outputs and gradients in single precision. */
    @Nested
    class InBfloat16 extends LayerContract {
        @Override
        Kernels open() {
            return cpu();
        }

        @Override
        Precision precision() {
            return Precision.BF16;
        }

        @Override
        ElementType dataType() {
            return ElementType.F32;
        }

        @Override
        double tolerance() {
            return 0.1; // as on the reference: pre-activations carry 8 bits
        }
    }
}
