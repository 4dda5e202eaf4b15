package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.contract.BlockSparseContract;
import dev.dropless.blocksparse.contract.CompositionContract;
import dev.dropless.blocksparse.contract.ExpertKernelsContract;
import dev.dropless.blocksparse.contract.ExpertPathContract;
import dev.dropless.blocksparse.contract.ExpertWeightsContract;
import dev.dropless.blocksparse.contract.GoldenContract;
import dev.dropless.blocksparse.contract.GridContract;
import dev.dropless.blocksparse.contract.KernelsContract;
import dev.dropless.blocksparse.contract.OperandChecksContract;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import org.junit.jupiter.api.Nested;

/** The reference keeps the contract of all back ends. */
class ReferenceContractTest {

    private static Kernels openReference(int threads) {
        return new ReferenceBackend().open(BackendOptions.threads(threads));
    }

    @Nested
    class BlockSparse extends BlockSparseContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Experts extends ExpertKernelsContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Path extends ExpertPathContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Composition extends CompositionContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Golden extends GoldenContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Grids extends GridContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Weights extends ExpertWeightsContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Lifecycle extends KernelsContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }

    @Nested
    class Checks extends OperandChecksContract {
        @Override
        protected Kernels open(int threads) {
            return openReference(threads);
        }
    }
}
