package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.BackendContract;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;

/** The contract of all back ends, with the kernels run as plain Java. */
abstract class PlainJavaContract extends BackendContract {

    private final boolean tiled;

    PlainJavaContract(boolean tiled) {
        this.tiled = tiled;
    }

    @Override
    protected List<ElementType> types() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected List<ElementType> weightTypes() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected int gridScale() {
        return 32;
    }

    @Override
    protected Kernels open(int threads) {
        return new TornadoKernels(new Device(new JavaEngine(), tiled), 0);
    }
}
