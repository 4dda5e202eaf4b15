package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.contract.BackendContract;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;

/** The reference keeps the contract of all back ends. */
class ReferenceContractTest extends BackendContract {

    @Override
    protected Kernels open(int threads) {
        return new ReferenceBackend().open(BackendOptions.threads(threads));
    }

    @Override
    protected boolean int8() {
        return true;
    }
}
