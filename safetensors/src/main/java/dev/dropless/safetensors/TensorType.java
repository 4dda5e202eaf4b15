package dev.dropless.safetensors;

import java.util.Arrays;
import java.util.Optional;

/**
 * Element type of a stored tensor; the constant's name is the {@code dtype} of the header.
 *
 * <p>These are the whole-byte real types of the format. Types this library does not compute with are included so that
 * a checkpoint which holds them somewhere can still be opened for its other tensors.
 */
public enum TensorType {
    /** IEEE 754 double precision. */
    F64(8),
    /** IEEE 754 single precision. */
    F32(4),
    /** IEEE 754 half precision. */
    F16(2),
    /** The upper half of a single precision number. */
    BF16(2),
    /** 8-bit float, 4 exponent and 3 mantissa bits. */
    F8_E4M3(1),
    /** 8-bit float, 5 exponent and 2 mantissa bits. */
    F8_E5M2(1),
    /** 8-bit power of two, as used for block scales. */
    F8_E8M0(1),
    /** Signed 64-bit integer. */
    I64(8),
    /** Signed 32-bit integer. */
    I32(4),
    /** Signed 16-bit integer. */
    I16(2),
    /** Signed 8-bit integer. */
    I8(1),
    /** Unsigned 64-bit integer. */
    U64(8),
    /** Unsigned 32-bit integer. */
    U32(4),
    /** Unsigned 16-bit integer. */
    U16(2),
    /** Unsigned 8-bit integer. */
    U8(1),
    /** Truth value, one byte, 0 or 1. */
    BOOL(1);

    private final int byteSize;

    TensorType(int byteSize) {
        this.byteSize = byteSize;
    }

    /**
     * Returns the size of one element.
     *
     * @return bytes per element
     */
    public int byteSize() {
        return byteSize;
    }

    /**
     * Returns the size of a whole tensor, dimensions multiplied from the first to the last.
     *
     * @param shape dimensions; an empty array is a scalar
     * @return bytes of a tensor of that shape, 0 if a dimension is 0
     * @throws IllegalArgumentException if a dimension is negative or a product exceeds {@link Long#MAX_VALUE}
     */
    public long byteSize(long[] shape) {
        try {
            return Math.multiplyExact(elementCount(shape), byteSize);
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "shape: expected a size of at most 2^63-1 bytes, found " + this + Arrays.toString(shape), e);
        }
    }

    /**
     * Finds the type that a header calls {@code dtype}.
     *
     * @param dtype name as written in a header; case matters
     * @return the type, empty if there is none of that name
     */
    public static Optional<TensorType> ofName(String dtype) {
        return Arrays.stream(values()).filter(type -> type.name().equals(dtype)).findFirst();
    }

    private static long elementCount(long[] shape) {
        long count = 1;
        for (long dimension : shape) {
            if (dimension < 0) {
                throw new IllegalArgumentException(
                        "shape: expected non-negative dimensions, found " + Arrays.toString(shape));
            }
            count = Math.multiplyExact(count, dimension);
        }
        return count;
    }
}
