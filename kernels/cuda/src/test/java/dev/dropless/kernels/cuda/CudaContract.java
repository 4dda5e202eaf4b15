package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.BackendContract;
import java.util.List;

/** The contract of all back ends, for the types that the kernels take. */
abstract class CudaContract extends BackendContract {

    @Override
    protected List<ElementType> types() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected List<ElementType> weightTypes() {
        return types();
    }

    @Override
    protected double weightedFactorError(ElementType left, ElementType right) {
        return roundedFactorError(left, right);
    }

    /** Tensor cores take a weighted operand rounded to 16 bits. */
    static double roundedFactorError(ElementType left, ElementType right) {
        if (left != right || left == ElementType.F32) {
            return 0;
        }
        return left == ElementType.BF16 ? 0x1p-8 : 0x1p-11;
    }
}
