package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;
import org.junit.jupiter.api.Nested;

/**
 * What every back end must do. A back end's test extends this class, says how to open it, and overrides what it cannot
 * take; the nested classes are the tests.
 */
public abstract class BackendContract {

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
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Level 2, product by product. */
    @Nested
    class Experts extends ExpertKernelsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Activations alone. */
    @Nested
    class Activations extends ActivationContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Level 2 as a whole. */
    @Nested
    class Path extends ExpertPathContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Level 2 against the composition of level 1. */
    @Nested
    class Composition extends CompositionContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** A worked example. */
    @Nested
    class Golden extends GoldenContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Other projects' test grids. */
    @Nested
    class Grids extends GridContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Import, export and storage of weights. */
    @Nested
    class Weights extends ExpertWeightsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Weights in 8 bits. */
    @Nested
    class Int8Weights extends Int8WeightsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Opening, memory and closing. */
    @Nested
    class Lifecycle extends KernelsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Refused operands. */
    @Nested
    class Checks extends OperandChecksContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }
}
