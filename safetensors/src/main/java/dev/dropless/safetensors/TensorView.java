package dev.dropless.safetensors;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * One tensor of an open file: its description and a read-only window on its bytes.
 *
 * <p>The window is valid until the file it came from is closed; access after that throws
 * {@link IllegalStateException}. Views may be used from several threads.
 */
public final class TensorView {

    private final String name;
    private final TensorType type;
    private final long[] shape;
    private final MemorySegment data;

    TensorView(String name, TensorType type, long[] shape, MemorySegment data) {
        this.name = name;
        this.type = type;
        this.shape = shape.clone();
        this.data = data;
    }

    /**
     * Returns the tensor's name.
     *
     * @return name as the header has it
     */
    public String name() {
        return name;
    }

    /**
     * Returns the element type.
     *
     * @return type of every element
     */
    public TensorType type() {
        return type;
    }

    /**
     * Returns the dimensions, slowest first (row-major).
     *
     * @return a fresh array, empty for a scalar
     */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * Returns the number of elements, the product of the dimensions.
     *
     * @return 1 for a scalar, 0 if a dimension is 0
     */
    public long elementCount() {
        return data.byteSize() / type.byteSize();
    }

    /**
     * Returns the elements in row-major order, little endian. The address need not be a multiple of the element size:
     * read with an {@code _UNALIGNED} layout.
     *
     * @return read-only segment of exactly {@code elementCount() * type().byteSize()} bytes
     */
    public MemorySegment data() {
        return data;
    }

    @Override
    public String toString() {
        return Text.quote(name) + " " + type + Arrays.toString(shape);
    }
}
