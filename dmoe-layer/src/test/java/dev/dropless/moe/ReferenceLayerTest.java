package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.Kernels;
import org.junit.jupiter.api.Nested;

/** The contract on the reference back end, in every precision. */
class ReferenceLayerTest {

    @Nested
    class InDouble extends LayerContract {
        @Override
        Kernels open() {
            return Fixture.reference();
        }

        @Override
        Precision precision() {
            return Precision.F64;
        }

        @Override
        double tolerance() {
            return 1e-13;
        }
    }

    @Nested
    class InSingle extends LayerContract {
        @Override
        Kernels open() {
            return Fixture.reference();
        }

        @Override
        Precision precision() {
            return Precision.F32;
        }

        @Override
        double tolerance() {
            return 2e-6; // a few roundings of 6e-8, amplified where gradients of the router cancel
        }
    }

    /** Weights and activations in bfloat16, outputs and gradients in single precision. */
    @Nested
    class InBfloat16 extends LayerContract {
        @Override
        Kernels open() {
            return Fixture.reference();
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
            return 0.1; // pre-activations carry 8 bits, 4e-3 each, amplified as above; some fall on the other side of a
            // clamp
        }
    }
}
