package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.BlockSparseContract;
import dev.dropless.blocksparse.contract.CompositionContract;
import dev.dropless.blocksparse.contract.ExpertKernelsContract;
import dev.dropless.blocksparse.contract.ExpertPathContract;
import dev.dropless.blocksparse.contract.ExpertWeightsContract;
import dev.dropless.blocksparse.contract.GoldenContract;
import dev.dropless.blocksparse.contract.GridContract;
import dev.dropless.blocksparse.contract.KernelsContract;
import dev.dropless.blocksparse.contract.OperandChecksContract;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;
import org.junit.jupiter.api.Nested;

/** The contract of all back ends, for kernels that a subclass opens. */
abstract class CudaContract {

    private static final List<ElementType> TYPES = List.of(ElementType.F32, ElementType.BF16, ElementType.F16);

    abstract Kernels openKernels(int threads);

    @Nested
    class BlockSparse extends BlockSparseContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Experts extends ExpertKernelsContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class ExpertPath extends ExpertPathContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Composition extends CompositionContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Golden extends GoldenContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Grids extends GridContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Weights extends ExpertWeightsContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Lifecycle extends KernelsContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }

    @Nested
    class Checks extends OperandChecksContract {
        @Override
        protected Kernels open(int threads) {
            return openKernels(threads);
        }

        @Override
        protected List<ElementType> types() {
            return TYPES;
        }

        @Override
        protected List<ElementType> weightTypes() {
            return TYPES;
        }
    }
}
