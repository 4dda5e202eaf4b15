package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Scratch memory of one operation, and the operands that must be converted into it: kernels take both factors of a product in one type, and weights of slots as dense
 * floats. Where the types of two factors differ they meet in F32, which holds both exactly; that costs a pass over the smaller type and the speed of the fp32
 * kernels, so callers that care use one type throughout.
 */
final class Conversions implements AutoCloseable {

    private final CudaMemory.DeviceScope scratch;
    private final Launcher launcher;

    Conversions(CudaMemory memory, Launcher launcher) {
        this.scratch = memory.open();
        this.launcher = launcher;
    }

    /** The type in which two factors are multiplied. */
    ElementType common(String argument, ElementType a, ElementType b) {
        refuse(argument, a);
        refuse(argument, b);
        return a == b ? a : ElementType.F32;
    }

    /** Checks types of inputs that kernels read in any type. */
    static void inputs(String argument, Matrix matrix) {
        refuse(argument, matrix.type());
    }

    /** Checks the type of a result. */
    static void outputs(String argument, @Nullable Matrix matrix) {
        if (matrix != null) {
            refuse(argument, matrix.type());
        }
    }

    /** Checks the types of two results. */
    static void outputs(String first, @Nullable Matrix a, String second, @Nullable Matrix b) {
        outputs(first, a);
        outputs(second, b);
    }

    private static void refuse(String argument, ElementType type) {
        if (type == ElementType.F64) {
            throw new IllegalArgumentException("%s: expected type F32, BF16 or F16, found F64".formatted(argument));
        }
    }

    /** The matrix itself if it has the type, else a converted copy. */
    Matrix as(String argument, Matrix matrix, ElementType type) {
        refuse(argument, matrix.type());
        if (matrix.type() == type) {
            return matrix;
        }
        Matrix converted = scratch.allocate(type, matrix.rows(), matrix.columns());
        launcher.convert(matrix, converted);
        return converted;
    }

    /** Address of weights of slots as dense floats; 0 for null. */
    long slots(String argument, @Nullable Matrix weights) {
        if (weights == null) {
            return 0;
        }
        refuse(argument, weights.type());
        Matrix dense = denseFloats(weights);
        if (dense != weights) {
            launcher.convert(weights, dense);
        }
        return addressOf(dense);
    }

    /** The matrix itself if it is dense floats, else scratch of its shape that is. */
    Matrix denseFloats(Matrix matrix) {
        boolean dense = matrix.rows() <= 1 || matrix.rowStride() == matrix.columns();
        return matrix.type() == ElementType.F32 && dense
                ? matrix
                : scratch.allocate(ElementType.F32, matrix.rows(), matrix.columns());
    }

    /** Scratch memory; its address. */
    long bytes(long bytes) {
        return scratch.take(bytes).address();
    }

    @Override
    public void close() {
        scratch.close();
    }
}
