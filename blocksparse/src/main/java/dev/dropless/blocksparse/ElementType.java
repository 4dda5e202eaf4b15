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
            segment.set(SHORT, byteOffset, floatToBf16((float) value));
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
            segment.set(SHORT, byteOffset, Float.floatToFloat16((float) value));
        }
    };

    /** Unaligned little-endian double. */
    public static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Unaligned little-endian float. */
    public static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Unaligned little-endian short: the bits of a 16-bit float. */
    public static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

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
     * Writes one element, rounded to this type. Values for the 16-bit types are rounded to binary32 first.
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
        if (value != value) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
