package dev.dropless.blocksparse;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * How one element of a {@link Matrix} is stored. All types are little-endian and need no alignment.
 *
 * <p>Conversions to a narrower type round to nearest, ties to even (IEEE 754); NaN stays NaN, overflow gives infinity.
 */
public enum ElementType {
    /** IEEE 754 binary64. */
    F64(8) {
        @Override
        public double get(MemorySegment segment, long byteOffset) {
            return segment.get(DOUBLE, byteOffset);
        }

        @Override
        public void set(MemorySegment segment, long byteOffset, double value) {
            segment.set(DOUBLE, byteOffset, value);
        }
    },
    /** IEEE 754 binary32. */
    F32(4) {
        @Override
        public double get(MemorySegment segment, long byteOffset) {
            return segment.get(FLOAT, byteOffset);
        }

        @Override
        public void set(MemorySegment segment, long byteOffset, double value) {
            segment.set(FLOAT, byteOffset, (float) value);
        }
    },
    /** bfloat16: the upper half of a binary32. */
    BF16(2) {
        @Override
        public double get(MemorySegment segment, long byteOffset) {
            return bf16ToFloat(segment.get(SHORT, byteOffset));
        }

        @Override
        public void set(MemorySegment segment, long byteOffset, double value) {
            segment.set(SHORT, byteOffset, floatToBf16(toOdd(value)));
        }
    },
    /** IEEE 754 binary16. */
    F16(2) {
        @Override
        public double get(MemorySegment segment, long byteOffset) {
            return Float.float16ToFloat(segment.get(SHORT, byteOffset));
        }

        @Override
        public void set(MemorySegment segment, long byteOffset, double value) {
            segment.set(SHORT, byteOffset, Float.floatToFloat16(toOdd(value)));
        }
    };

    /** Unaligned little-endian double. */
    public static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Unaligned little-endian float. */
    public static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Unaligned little-endian short: the bits of a 16-bit float. */
    public static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final int bytes;

    ElementType(int bytes) {
        this.bytes = bytes;
    }

    /**
     * Returns the size of one element.
     *
     * @return bytes
     */
    public int bytes() {
        return bytes;
    }

    /**
     * Reads one element; exact.
     *
     * @param segment memory
     * @param byteOffset where the element begins
     * @return its value
     */
    public abstract double get(MemorySegment segment, long byteOffset);

    /**
     * Writes one element, rounded to this type once.
     *
     * @param segment memory
     * @param byteOffset where the element begins
     * @param value what to store
     */
    public abstract void set(MemorySegment segment, long byteOffset, double value);

    /**
     * Widens a bfloat16.
     *
     * @param bits the 16 stored bits
     * @return its value, exact
     */
    public static float bf16ToFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /**
     * Rounds a float to bfloat16: nearest, ties to even; NaN stays a quiet NaN.
     *
     * @param value any float
     * @return the 16 bits to store
     */
    public static short floatToBf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /**
     * Rounds to binary32 such that rounding the result to 16 bits equals rounding the double to 16 bits: an inexact
     * result becomes the neighbour
     * whose last bit is 1, which no 16-bit type takes for a tie (Boldo and Melquiond, Emulation of FMA and correctly
     * rounded sums: proved algorithms
     * using rounding to odd, IEEE Transactions on Computers 57, 2008).
     */
    private static float toOdd(double value) {
        float nearest = (float) value;
        int bits = Float.floatToRawIntBits(nearest);
        if (nearest == value || Float.isNaN(nearest) || Float.isInfinite(nearest) || (bits & 1) == 1) {
            return nearest;
        }
        return Float.intBitsToFloat(Math.abs(nearest) < Math.abs(value) ? bits + 1 : bits - 1);
    }
}
