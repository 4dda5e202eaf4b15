package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.BackendContract;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;

/** The contract of all back ends, for one tier. */
abstract class CpuContract extends BackendContract {

    abstract TileKernels tier();

    @Override
    protected Kernels open(int threads) {
        return new CpuKernels(tier(), threads);
    }

    @Override
    protected List<ElementType> weightTypes() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected boolean int8() {
        return true;
    }
}
