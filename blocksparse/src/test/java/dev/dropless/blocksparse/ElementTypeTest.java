package dev.dropless.blocksparse;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ElementTypeTest {

    private static final int PATTERNS = 1 << 16;

    /** The value that 16 bits stand for, from the definition of the format: sign, exponent, fraction. */
    private static double decode(ElementType type, int bits) {
        int fractionBits = type == ElementType.BF16 ? 7 : 10;
        int exponentBits = 15 - fractionBits;
        int bias = (1 << (exponentBits - 1)) - 1;
        int fraction = bits & ((1 << fractionBits) - 1);
        int exponent = (bits >>> fractionBits) & ((1 << exponentBits) - 1);
        double sign = (bits & 0x8000) == 0 ? 1 : -1;
        if (exponent == (1 << exponentBits) - 1) {
            return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
        }
        double significand = exponent == 0 ? fraction : fraction + (1 << fractionBits);
        return sign * Math.scalb(significand, Math.max(exponent, 1) - bias - fractionBits);
    }

    private static int stored(ElementType type, double value) {
        MemorySegment cell = MemorySegment.ofArray(new byte[2]);
        type.set(cell, 0, value);
        return cell.get(ElementType.SHORT, 0) & 0xffff;
    }

    private static double loaded(ElementType type, int bits) {
        MemorySegment cell = MemorySegment.ofArray(new byte[2]);
        cell.set(ElementType.SHORT, 0, (short) bits);
        return type.get(cell, 0);
    }

    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void everyBitPatternIsReadAndWrittenBack(ElementType type) {
        for (int bits = 0; bits < PATTERNS; bits++) {
            double value = loaded(type, bits);
            assertEquals(decode(type, bits), value, "bits " + Integer.toHexString(bits));
            if (Double.isNaN(value)) {
                assertTrue(Double.isNaN(decode(type, stored(type, value))), "NaN stays NaN");
            } else {
                assertEquals(bits, stored(type, value), "bits " + Integer.toHexString(bits));
            }
        }
    }

    /** Between all neighbours: just below the middle goes down, just above goes up, the middle goes to the even one. */
    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void roundingIsToNearestTiesToEven(ElementType type) {
        int infinity = type == ElementType.BF16 ? 0x7f80 : 0x7c00;
        for (int low = 0; low < infinity; low++) {
            double above = low + 1 < infinity
                    ? decode(type, low + 1)
                    : 2 * decode(type, low) - decode(type, low - 1); // where the next number would be
            double middle = 0.5 * (decode(type, low) + above); // exact in double
            int even = (low & 1) == 0 ? low : low + 1;
            for (int sign : new int[] {0, 0x8000}) {
                double s = sign == 0 ? 1 : -1;
                assertEquals(low | sign, stored(type, s * Math.nextDown(middle)), "below the middle above " + low);
                assertEquals(even | sign, stored(type, s * middle), "the middle above " + low);
                assertEquals(low + 1 | sign, stored(type, s * Math.nextUp(middle)), "above the middle above " + low);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void randomValuesGoToTheNearest(ElementType type) {
        Random random = new Random(5);
        for (int i = 0; i < 100_000; i++) {
            double value = Math.scalb(random.nextGaussian(), random.nextInt(60) - 40);
            int bits = stored(type, value);
            double error = Math.abs(decode(type, bits) - value);
            for (int neighbour : new int[] {bits - 1 & 0xffff, bits + 1 & 0xffff}) {
                double other = decode(type, neighbour);
                assertTrue(
                        Double.isNaN(other) || !(Math.abs(other - value) < error) || Double.isInfinite(error),
                        () -> value + " is nearer to " + other);
            }
        }
    }

    @Test
    void specialValues() {
        for (ElementType type : ElementType.values()) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment cell = arena.allocate(8);
                for (double value :
                        new double[] {0, 1, -2.5, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NaN}) {
                    type.set(cell, 0, value);
                    assertEquals(value, type.get(cell, 0), type.name());
                }
                type.set(cell, 0, -0.0);
                assertEquals(Double.NEGATIVE_INFINITY, 1 / type.get(cell, 0), "minus zero in " + type);
            }
        }
        assertEquals(0x7f80, stored(ElementType.BF16, 1e300), "overflow is infinite");
        assertEquals(0xfc00, stored(ElementType.F16, -1e300), "overflow is infinite");
        assertEquals(
                0x7f80, ElementType.floatToBf16(Float.MAX_VALUE), "the largest float is above the largest bfloat16");
        assertEquals(0, stored(ElementType.F16, Double.MIN_VALUE), "underflow is zero");
        assertEquals(0x8000, stored(ElementType.BF16, -Double.MIN_VALUE), "underflow keeps the sign");
    }

    @Test
    void nanPayloadsStayNan() {
        for (int payload : new int[] {0x7f800001, 0x7fffffff, 0xff800001, 0x7fc00000}) {
            short bits = ElementType.floatToBf16(Float.intBitsToFloat(payload));
            assertTrue(Float.isNaN(ElementType.bf16ToFloat(bits)), Integer.toHexString(payload));
        }
    }

    @Test
    void elementsNeedNoAlignmentAndAreLittleEndian() {
        for (ElementType type : ElementType.values()) {
            MemorySegment bytes = MemorySegment.ofArray(new byte[type.bytes() + 1]);
            type.set(bytes, 1, 1);
            assertEquals(1.0, type.get(bytes, 1));
            assertEquals(
                    type == ElementType.F16 ? 0x3c : 0x3f,
                    bytes.get(java.lang.foreign.ValueLayout.JAVA_BYTE, type.bytes()),
                    type.name());
        }
    }
}
