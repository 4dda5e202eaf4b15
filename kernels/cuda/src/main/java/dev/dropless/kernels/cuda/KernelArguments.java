package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import org.jspecify.annotations.Nullable;

/**
 * Arguments of a kernel in native memory, as the driver takes them. Our kernels have one parameter, a structure of 64-bit words, which the methods here append; {@link
 * #structure} adds a parameter of another form. Closed after the launch has returned: the driver has copied them by then.
 */
final class KernelArguments implements AutoCloseable {

    /** The longest structure has fewer words than this. */
    private static final int WORDS = 96;

    private static final int PARAMETERS = 8;

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment words = arena.allocate((long) WORDS * Long.BYTES, 64);
    private final MemorySegment table = arena.allocate((long) PARAMETERS * Long.BYTES, Long.BYTES);
    private int count;
    private int parameters;

    KernelArguments() {
        table.setAtIndex(ValueLayout.JAVA_LONG, parameters++, words.address());
    }

    /** An integer or a device address; 0 is the null pointer. */
    KernelArguments word(long value) {
        words.setAtIndex(ValueLayout.JAVA_LONG, count++, value);
        return this;
    }

    /** A truth value. */
    KernelArguments flag(boolean value) {
        return word(value ? 1 : 0);
    }

    /** A 64-bit float. */
    KernelArguments number(double value) {
        return word(Double.doubleToRawLongBits(value));
    }

    /** A matrix: address, row stride, type. Null is a matrix at address 0. */
    KernelArguments matrix(@Nullable Matrix matrix) {
        return matrix == null
                ? word(0).word(0).word(0)
                : word(addressOf(matrix)).word(matrix.rowStride()).word(code(matrix.type()));
    }

    /** An activation: function and four constants. */
    KernelArguments activation(Activation activation) {
        return word(activation.function().ordinal())
                .number(activation.alpha())
                .number(activation.gateMax())
                .number(activation.upLimit())
                .number(activation.upOffset());
    }

    /** A further parameter, by value. The memory must stay as it is until the launch has returned. */
    KernelArguments structure(MemorySegment bytes) {
        table.setAtIndex(ValueLayout.JAVA_LONG, parameters++, bytes.address());
        return this;
    }

    /** Device address of element (0, 0). */
    static long addressOf(Matrix matrix) {
        return matrix.segment().address() + matrix.offset() * matrix.type().bytes();
    }

    /** The kernels' number of an element type. */
    static long code(ElementType type) {
        return switch (type) {
            case F32 -> 0;
            case BF16 -> 1;
            case F16 -> 2;
            case F64 -> 3;
        };
    }

    /** Number of words appended. */
    int count() {
        return count;
    }

    /** Table of the parameters' addresses, for foreign calls. */
    MemorySegment table() {
        return table;
    }

    /** The table, as JCuda takes it. */
    Pointer pointer() {
        return new CUdeviceptr().withByteOffset(table.address());
    }

    @Override
    public void close() {
        arena.close();
    }
}
