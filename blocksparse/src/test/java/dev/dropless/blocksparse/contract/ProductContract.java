package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;
import org.junit.jupiter.api.Nested;

/** What a back end's products must do whatever the shapes, types and transpositions: a part of {@link BackendContract}. */
public abstract class ProductContract {

    /** Opens the back end under test with a number of host threads. */
    protected abstract Kernels open(int threads);

    /** Types of operands that the back end must take. */
    protected List<ElementType> types() {
        return List.of(ElementType.values());
    }

    /** Types of weights that the back end has layouts for. */
    protected List<ElementType> weightTypes() {
        return List.of(ElementType.values());
    }

    /** Whether the back end has weights in 8 bits. */
    protected boolean int8() {
        return false;
    }

    /** Divisor of the sizes of other projects' test grids; 1 for back ends fast enough for the real sizes. */
    protected int gridScale() {
        return 8;
    }

    /** Relative error that the back end may make in an activation or its derivative. */
    protected double activationError(Kernels kernels) {
        return 32 * ContractSupport.unit(kernels.accumulation());
    }

    /** Relative error of a whole pass, for numbers of order one in the accumulation type. */
    protected double pathError(Kernels kernels) {
        return 2000 * ContractSupport.unit(kernels.accumulation());
    }

    /**
     * Relative error of a term of a weight gradient beyond conversions and summation: back ends whose multipliers take
     * 16-bit factors round the product of a slot's weight and an operand to one.
     *
     * @param left type of one operand
     * @param right type of the other
     */
    protected double weightedFactorError(ElementType left, ElementType right) {
        return 0;
    }

    /** Level 1. */
    @Nested
    class BlockSparse extends BlockSparseContract {
        @Override
        ProductContract backend() {
            return ProductContract.this;
        }
    }

    /** Level 2, product by product. */
    @Nested
    class Experts extends ExpertKernelsContract {
        @Override
        ProductContract backend() {
            return ProductContract.this;
        }
    }
}
