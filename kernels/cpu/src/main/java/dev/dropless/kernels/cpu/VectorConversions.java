package dev.dropless.kernels.cpu;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * Conversions between floats in arrays and narrower formats, by arithmetic on whole numbers, since the Vector API has no others: bit for bit what {@link Rows} does, NaN and
 * subnormals included. Loaded only where the module jdk.incubator.vector is resolved.
 *
 * <p>Narrow numbers lie in an array of their own kind or in native memory, each with a loop: one for both would ask for the kind of memory with every vector.
 */
final class VectorConversions {

    private static final VectorSpecies<Float> FLOATS = VectorMath.FLOATS;
    private static final int LANES = FLOATS.length();
    private static final VectorSpecies<Integer> INTS = FLOATS.withLanes(int.class);
    private static final VectorSpecies<Short> SHORTS =
            VectorSpecies.of(short.class, VectorShape.forBitSize(FLOATS.vectorBitSize() / 2));
    /** Vectors have 64 bits at least. */
    private static final boolean HAS_BYTES = FLOATS.vectorBitSize() >= 256;

    private static final VectorSpecies<Byte> BYTES =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, FLOATS.vectorBitSize() / 4)));
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();

    private static final int SIGN = 0x8000;
    private static final int MAGNITUDE = 0x7fff;
    /** binary16: infinity, the least normal number, and a NaN. */
    private static final int F16_INFINITY = 0x7c00;

    private static final int F16_NORMAL = 0x0400;
    private static final int F16_NAN = 0x7e00;
    /** Difference of the exponents' biases, and the bits that binary32 has more. */
    private static final int BIASES = 112;

    private static final int MORE_BITS = 13;
    /** Added to a magnitude below the normal numbers of binary16, it leaves as last bits what is to be kept of it, rounded. */
    private static final float F16_ROUND = 0.5f;

    private VectorConversions() {}

    /** Whether there is a loop for a pair of formats. */
    static boolean has(Format from, Format to) {
        if (to == Format.F32) {
            return from == Format.BF16 || from == Format.F16 || (from == Format.INT8 && HAS_BYTES);
        }
        return from == Format.F32 && (to == Format.BF16 || to == Format.F16);
    }

    /**
     * Converts a run of numbers one of which is F32.
     *
     * @param n a multiple of TileKernels.BLOCK
     * @return false, and nothing is done, where numbers lie in memory that vectors cannot be read from or written to at full speed
     */
    static boolean convert(
            Format from,
            MemorySegment source,
            long sourceIndex,
            Format to,
            MemorySegment target,
            long targetIndex,
            int n) {
        boolean widens = to == Format.F32;
        MemorySegment wide = widens ? target : source;
        MemorySegment narrow = widens ? source : target;
        Format format = widens ? from : to;
        if (!(array(wide) instanceof float[] floats) || wide.address() % Float.BYTES != 0) {
            return false;
        }
        int f = (int) (wide.address() / Float.BYTES + (widens ? targetIndex : sourceIndex));
        long index = widens ? sourceIndex : targetIndex;
        if (narrow.isNative()) {
            return convertNative(format, widens, n, narrow, index, floats, f);
        }
        Object array = array(narrow);
        int bytes = format.bytes();
        if (array == null || narrow.address() % bytes != 0) {
            return false;
        }
        int i = (int) (narrow.address() / bytes + index);
        return widens ? widen(format, n, array, i, floats, f) : narrow(format, n, floats, f, array, i);
    }

    /**
     * Widens a run of numbers in an array of their own kind.
     *
     * @param n a multiple of TileKernels.BLOCK
     * @return false, and nothing is done, where the array is one of another kind
     */
    static boolean widen(Format format, int n, Object source, int from, float[] target, int to) {
        if (source instanceof byte[] bytes && format == Format.INT8) {
            widenInt8(n, bytes, from, target, to);
        } else if (source instanceof short[] shorts && format == Format.BF16) {
            widenBf16(n, shorts, from, target, to);
        } else if (source instanceof short[] shorts && format == Format.F16) {
            widenF16(n, shorts, from, target, to);
        } else {
            return false;
        }
        return true;
    }

    private static boolean narrow(Format format, int n, float[] source, int from, Object target, int to) {
        if (target instanceof short[] shorts && format == Format.BF16) {
            narrowBf16(n, source, from, shorts, to);
        } else if (target instanceof short[] shorts && format == Format.F16) {
            narrowF16(n, source, from, shorts, to);
        } else {
            return false;
        }
        return true;
    }

    private static boolean convertNative(
            Format format, boolean widens, int n, MemorySegment narrow, long index, float[] floats, int f) {
        long start = index * Short.BYTES;
        if (format == Format.BF16) {
            if (widens) {
                widenBf16(n, narrow, start, floats, f);
            } else {
                narrowBf16(n, floats, f, narrow, start);
            }
        } else if (format != Format.F16) {
            return false;
        } else if (widens) {
            widenF16(n, narrow, start, floats, f);
        } else {
            narrowF16(n, floats, f, narrow, start);
        }
        return true;
    }

    /** The whole array of which a segment is a part; null for memory that is none or must not be written. */
    private static @Nullable Object array(MemorySegment segment) {
        return segment.heapBase().orElse(null);
    }

    private static void widenBf16(int n, short[] source, int from, float[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            ofBf16(ShortVector.fromArray(SHORTS, source, from + i)).intoArray(target, to + i);
        }
    }

    private static void widenBf16(int n, MemorySegment source, long from, float[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            ofBf16(ShortVector.fromMemorySegment(SHORTS, source, from + 2L * i, ORDER))
                    .intoArray(target, to + i);
        }
    }

    private static void widenF16(int n, short[] source, int from, float[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            ofF16(ShortVector.fromArray(SHORTS, source, from + i)).intoArray(target, to + i);
        }
    }

    private static void widenF16(int n, MemorySegment source, long from, float[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            ofF16(ShortVector.fromMemorySegment(SHORTS, source, from + 2L * i, ORDER))
                    .intoArray(target, to + i);
        }
    }

    private static void widenInt8(int n, byte[] source, int from, float[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            FloatVector wide = (FloatVector) ByteVector.fromArray(BYTES, source, from + i)
                    .convertShape(VectorOperators.B2I, INTS, 0)
                    .convertShape(VectorOperators.I2F, FLOATS, 0);
            wide.intoArray(target, to + i);
        }
    }

    private static void narrowBf16(int n, float[] source, int from, short[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            toBf16(FloatVector.fromArray(FLOATS, source, from + i)).intoArray(target, to + i);
        }
    }

    private static void narrowBf16(int n, float[] source, int from, MemorySegment target, long to) {
        for (int i = 0; i < n; i += LANES) {
            toBf16(FloatVector.fromArray(FLOATS, source, from + i)).intoMemorySegment(target, to + 2L * i, ORDER);
        }
    }

    private static void narrowF16(int n, float[] source, int from, short[] target, int to) {
        for (int i = 0; i < n; i += LANES) {
            toF16(FloatVector.fromArray(FLOATS, source, from + i)).intoArray(target, to + i);
        }
    }

    private static void narrowF16(int n, float[] source, int from, MemorySegment target, long to) {
        for (int i = 0; i < n; i += LANES) {
            toF16(FloatVector.fromArray(FLOATS, source, from + i)).intoMemorySegment(target, to + 2L * i, ORDER);
        }
    }

    private static IntVector ints(ShortVector numbers) {
        return (IntVector) numbers.convertShape(VectorOperators.S2I, INTS, 0);
    }

    private static ShortVector shorts(IntVector numbers) {
        return (ShortVector) numbers.convertShape(VectorOperators.I2S, SHORTS, 0);
    }

    private static FloatVector ofBf16(ShortVector numbers) {
        return ints(numbers).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
    }

    /** Upper halves after adding just under half a unit, and one more where the last bit kept is odd; of a NaN, the upper half, made quiet. */
    private static ShortVector toBf16(FloatVector values) {
        IntVector bits = values.reinterpretAsInts();
        IntVector upper = bits.lanewise(VectorOperators.LSHR, 16);
        IntVector rounded = upper.and(1).add(0x7fff).add(bits).lanewise(VectorOperators.LSHR, 16);
        return shorts(rounded.blend(upper.or(0x40), bits.and(0x7fffffff).compare(VectorOperators.GT, 0x7f800000)));
    }

    /** Normal numbers move to the greater bias; those below count units of 2^-24; infinities and NaN get the greatest exponent. */
    private static FloatVector ofF16(ShortVector numbers) {
        IntVector bits = ints(numbers);
        IntVector magnitude = bits.and(MAGNITUDE);
        IntVector wide = magnitude.lanewise(VectorOperators.LSHL, MORE_BITS);
        FloatVector units = (FloatVector) magnitude.convertShape(VectorOperators.I2F, FLOATS, 0);
        wide = wide.add(BIASES << 23)
                .blend(units.mul(0x1p-24f).reinterpretAsInts(), magnitude.compare(VectorOperators.LT, F16_NORMAL))
                .blend(wide.or(0x7f800000), magnitude.compare(VectorOperators.GE, F16_INFINITY));
        return wide.or(bits.and(SIGN).lanewise(VectorOperators.LSHL, 16)).reinterpretAsFloats();
    }

    private static ShortVector toF16(FloatVector values) {
        IntVector bits = values.reinterpretAsInts();
        IntVector magnitude = bits.and(0x7fffffff);
        IntVector odd = magnitude.lanewise(VectorOperators.LSHR, MORE_BITS).and(1);
        IntVector rounded = magnitude
                .add(odd)
                .add((1 << MORE_BITS - 1) - 1 - (BIASES << 23))
                .lanewise(VectorOperators.ASHR, MORE_BITS)
                .min(F16_INFINITY);
        IntVector units = values.abs().add(F16_ROUND).reinterpretAsInts().sub(Float.floatToRawIntBits(F16_ROUND));
        rounded = rounded.blend(units, magnitude.compare(VectorOperators.LT, BIASES + 1 << 23))
                .blend(F16_NAN, magnitude.compare(VectorOperators.GT, 0x7f800000));
        return shorts(rounded.or(bits.lanewise(VectorOperators.LSHR, 16).and(SIGN)));
    }
}
