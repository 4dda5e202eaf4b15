package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Conversions, emitted ones and those of the Vector API, and emitted products with narrow panels, against plain Java, bit for bit. */
class NarrowFormatsTest {

    private static final float GUARD = 12345;
    private static final List<Format> SIXTEEN_BITS = List.of(Format.BF16, Format.F16);

    private final TileKernels scalar = CpuTier.SCALAR.create();
    private final Random random = new Random(13);

    private List<TileKernels> converting() {
        List<TileKernels> all = new ArrayList<>(List.of(CpuTier.VECTOR.create()));
        if (EmittedSupport.disqualifier() == null) {
            all.addAll(emitted());
        }
        return all;
    }

    private List<TileKernels> emitted() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        List<TileKernels> all = new ArrayList<>(List.of(new EmittedKernels(Width.YMM, scalar)));
        if (EmittedSupport.widest() == Width.ZMM) {
            all.add(new EmittedKernels(Width.ZMM, scalar));
        }
        return all;
    }

    @Test
    void everyNumberOf16BitsWidens() {
        short[] all = new short[1 << 16];
        for (int i = 0; i < all.length; i++) {
            all[i] = (short) i;
        }
        for (TileKernels kernels : converting()) {
            for (Format format : SIXTEEN_BITS) {
                float[] expected = new float[all.length];
                Rows.read(MemorySegment.ofArray(all), format.type(), 0, all.length, expected, 0);
                float[] actual = new float[all.length];
                kernels.convertRows(
                        all.length / 16,
                        16,
                        format,
                        MemorySegment.ofArray(all),
                        0,
                        16,
                        Format.F32,
                        MemorySegment.ofArray(actual),
                        0,
                        16);
                assertArrayEquals(expected, actual, kernels.description() + " " + format);
            }
        }
    }

    @Test
    void narrowingRoundsLikeElementTypes() {
        float[] values = new float[1 << 18];
        for (int i = 0; i < values.length; i++) {
            values[i] = switch (i % 4) {
                case 0 -> Float.intBitsToFloat(random.nextInt()); // all magnitudes, NaN among them
                case 1 -> Float.intBitsToFloat(random.nextInt() << 15); // ties of bfloat16
                case 2 -> Float.float16ToFloat((short) random.nextInt()) * (1 + random.nextInt(3) * 0x1p-11f);
                default -> (float) random.nextGaussian();
            };
        }
        float[] special = {
            Float.POSITIVE_INFINITY,
            Float.NEGATIVE_INFINITY,
            Float.MAX_VALUE,
            -Float.MAX_VALUE,
            Float.MIN_VALUE,
            Float.MIN_NORMAL,
            0f,
            -0f,
            Float.NaN,
            Float.intBitsToFloat(0x7f800001),
            65504,
            65519.996f,
            65520,
            0x1p-25f,
            Math.nextUp(0x1p-25f)
        };
        System.arraycopy(special, 0, values, 0, special.length);
        for (TileKernels kernels : converting()) {
            for (Format format : SIXTEEN_BITS) {
                if (!kernels.converts(Format.F32, format)) {
                    assertEquals("emitted AVX2, scalar", kernels.description());
                    continue;
                }
                short[] expected = new short[values.length];
                Rows.write(values, 0, values.length, MemorySegment.ofArray(expected), format.type(), 0);
                short[] actual = new short[values.length];
                kernels.convertRows(
                        values.length / 32,
                        32,
                        Format.F32,
                        MemorySegment.ofArray(values),
                        0,
                        32,
                        format,
                        MemorySegment.ofArray(actual),
                        0,
                        32);
                for (int i = 0; i < values.length; i++) {
                    String what = kernels.description() + " " + format + " of " + values[i];
                    if (Float.isNaN(values[i])) {
                        ElementType type = format.type();
                        MemorySegment found = MemorySegment.ofArray(actual);
                        assertEquals(Double.NaN, type.get(found, 2L * i), what);
                    } else {
                        assertEquals(expected[i], actual[i], what);
                    }
                }
            }
        }
    }

    @Test
    void stridedRowsLeaveTheRestAlone() {
        for (TileKernels kernels : converting()) {
            for (int columns : new int[] {16, 32}) {
                float[] source = normal(3 + 5 * 37 + columns);
                short[] narrow = new short[7 + 5 * 41 + columns];
                Arrays.fill(narrow, (short) 77);
                Storage target = Storage.of(Format.F16, MemorySegment.ofArray(narrow));
                MemorySegment from = MemorySegment.ofArray(source);
                kernels.convertRows(5, columns, Format.F32, from, 3, 37, Format.F16, target.segment(), 7, 41);
                float[] back = new float[11 + 5 * 40 + columns];
                Arrays.fill(back, GUARD);
                MemorySegment to = MemorySegment.ofArray(back);
                kernels.convertRows(5, columns, Format.F16, target.segment(), 7, 41, Format.F32, to, 11, 40);
                for (int i = 0; i < back.length; i++) {
                    int row = Math.floorDiv(i - 11, 40);
                    int column = Math.floorMod(i - 11, 40);
                    boolean inside = row >= 0 && row < 5 && column < columns;
                    float expected =
                            inside ? Float.float16ToFloat(Float.floatToFloat16(source[3 + row * 37 + column])) : GUARD;
                    assertEquals(expected, back[i], kernels.description() + " " + i);
                }
                int untouched = 0;
                for (short value : narrow) {
                    untouched += value == 77 ? 1 : 0;
                }
                assertEquals(narrow.length - 5 * columns, untouched);
                assertThrows(
                        IndexOutOfBoundsException.class,
                        () -> kernels.convertRows(
                                7, columns, Format.F32, from, 3, 37, Format.F16, target.segment(), 7, 41));
            }
        }
    }

    /** Vectors reach native memory and arrays of the format's own kind; whatever else holds numbers is read one by one. */
    @Test
    void conversionsTakeMemoryOfAnyKind() {
        TileKernels kernels = CpuTier.VECTOR.create();
        float[] values = normal(64);
        for (Format format : SIXTEEN_BITS) {
            float[] expected = new float[64];
            MemorySegment shorts = MemorySegment.ofArray(new short[64]);
            Rows.write(values, 0, 64, shorts, format.type(), 0);
            Rows.read(shorts, format.type(), 0, 64, expected, 0);
            try (Arena arena = Arena.ofConfined()) {
                for (MemorySegment narrow : List.of(
                        MemorySegment.ofArray(new short[65]).asSlice(2),
                        MemorySegment.ofArray(new byte[131]).asSlice(3),
                        arena.allocate(130).asSlice(2))) {
                    for (MemorySegment wide :
                            List.of(MemorySegment.ofArray(new float[67]).asSlice(12), arena.allocate(256))) {
                        MemorySegment source = MemorySegment.ofArray(values);
                        kernels.convertRows(2, 32, Format.F32, source, 0, 32, format, narrow, 0, 32);
                        kernels.convertRows(4, 16, format, narrow, 0, 16, Format.F32, wide, 0, 16);
                        float[] actual = new float[64];
                        Rows.read(wide, ElementType.F32, 0, 64, actual, 0);
                        assertArrayEquals(expected, actual, format + " " + narrow + " " + wide);
                    }
                }
            }
        }
    }

    @Test
    void everyNumberOf8BitsWidens() {
        byte[] all = new byte[256];
        float[] expected = new float[256];
        for (int i = 0; i < 256; i++) {
            all[i] = (byte) i;
            expected[i] = all[i];
        }
        for (TileKernels kernels : converting()) {
            if (kernels.converts(Format.INT8, Format.F32)) {
                float[] actual = new float[256];
                MemorySegment target = MemorySegment.ofArray(actual);
                kernels.convertRows(8, 32, Format.INT8, MemorySegment.ofArray(all), 0, 32, Format.F32, target, 0, 32);
                assertArrayEquals(expected, actual, kernels.description());
            }
        }
    }

    @Test
    void productsWithNarrowPanels() {
        for (TileKernels kernels : emitted()) {
            for (Format format : List.of(Format.BF16, Format.F16, Format.INT8)) {
                for (int rows = 1; rows <= kernels.narrowRows(); rows++) {
                    for (int depth : new int[] {1, 13, 207}) {
                        multiply(kernels, format, rows, depth);
                    }
                }
            }
        }
    }

    private void multiply(TileKernels kernels, Format format, int rows, int depth) {
        try (Arena arena = Arena.ofConfined()) {
            int size = 5 * 32 + depth * TileKernels.PANEL;
            Storage b = kernels.weights(arena).allocate(format, size);
            for (int i = 0; i < size; i++) {
                float value = format == Format.INT8 ? random.nextInt(255) - 127 : (float) random.nextGaussian();
                b.write(new float[] {value}, 0, 1, i);
            }
            float[] wide = new float[size];
            b.read(0, size, wide, 0);
            Storage a = Storage.of(normal(3 + rows * TileKernels.ROW_STRIDE));
            float[] expected = normal(rows * TileKernels.PANEL);
            float[] actual = expected.clone();
            Storage wideB = Storage.of(wide);
            scalar.multiply(rows, depth, a, 3, wideB, 160, Storage.of(expected), 0, wideB, 0, 0);
            kernels.multiply(rows, depth, a, 3, b, 160, Storage.of(actual), 0, b, 0, depth * 16);
            assertArrayEquals(expected, actual, kernels.description() + " " + format + " " + rows + " x " + depth);
            int outside = format.bytes() == 1 ? 161 : 192;
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> kernels.multiply(rows, depth, a, 3, b, outside, Storage.of(actual), 0, b, 0, 0));
        }
    }

    /** Pairs give what one term after the other gives, bit for bit, as long as nothing is subnormal. */
    @Test
    void productsOfPairs() {
        assumeTrue(EmittedSupport.hasPairs(), "the processor has no dot products of bfloat16 pairs");
        TileKernels kernels = new EmittedKernels(Width.ZMM, scalar, true);
        for (int rows = 1; rows <= 31; rows++) {
            for (int pairs : new int[] {1, 16, 31, 103}) {
                short[] left = bf16(rows * 2 * pairs + 5);
                short[] right = bf16((2 * pairs + 1) * TileKernels.PANEL);
                float[] wideLeft = new float[rows * TileKernels.ROW_STRIDE];
                float[] pairedLeft = new float[3 + rows * TileKernels.ROW_STRIDE];
                for (int i = 0; i < rows; i++) {
                    long from = 5 + 2L * i * pairs;
                    MemorySegment source = MemorySegment.ofArray(left);
                    Rows.read(source, ElementType.BF16, from, 2 * pairs, wideLeft, i * TileKernels.ROW_STRIDE);
                    kernels.pairTerms(pairs, source, from, pairedLeft, 3 + i * TileKernels.ROW_STRIDE);
                }
                float[] wideRight = new float[2 * pairs * TileKernels.PANEL];
                MemorySegment source = MemorySegment.ofArray(right);
                Rows.read(source, ElementType.BF16, 32, wideRight.length, wideRight, 0);
                float[] pairedRight = new float[pairs * TileKernels.PANEL];
                kernels.pairRows(pairs, source, 32, pairedRight, 0);
                float[] expected = normal(rows * TileKernels.PANEL);
                float[] actual = expected.clone();
                Storage b = Storage.of(wideRight);
                scalar.multiply(rows, 2 * pairs, Storage.of(wideLeft), 0, b, 0, Storage.of(expected), 0, b, 0, 0);
                Storage pb = Storage.of(pairedRight);
                kernels.multiplyPairs(rows, pairs, Storage.of(pairedLeft), 3, pb, 0, Storage.of(actual), 0, pb, 0, 0);
                assertArrayEquals(expected, actual, rows + " rows, pairs: " + pairs);
            }
        }
    }

    /** What vdpbf16ps does with numbers below the normal ones, and fused multiply-adds of floats do not. */
    @Test
    void pairsTakeSubnormalsForZero() {
        assumeTrue(EmittedSupport.hasPairs(), "the processor has no dot products of bfloat16 pairs");
        TileKernels kernels = new EmittedKernels(Width.ZMM, scalar, true);
        float[][] cases = {
            // left, right, sum before, expected
            {0x1p-130f, 1, 0, 0}, // a factor
            {0x1p-70f, 0x1p-70f, 0, 0}, // a product
            {0, 1, 0x1p-130f, 0}, // a sum
            {0x1p-126f, 1, 0, 0x1p-126f} // the smallest that counts
        };
        for (float[] test : cases) {
            float[] left = {pair(test[0])};
            float[] right = new float[TileKernels.PANEL];
            float[] sums = new float[TileKernels.PANEL];
            Arrays.fill(right, pair(test[1]));
            Arrays.fill(sums, test[2]);
            Storage b = Storage.of(right);
            kernels.multiplyPairs(1, 1, Storage.of(left), 0, b, 0, Storage.of(sums), 0, b, 0, 0);
            assertEquals(test[3], sums[7], Arrays.toString(test));
        }
    }

    /** A number and zero. */
    private static float pair(float value) {
        return Float.intBitsToFloat(ElementType.floatToBf16(value) << 16);
    }

    private short[] bf16(int n) {
        short[] values = new short[n];
        for (int i = 0; i < n; i++) {
            values[i] = ElementType.floatToBf16((float) random.nextGaussian());
        }
        return values;
    }

    @Test
    void wholeNumbersOf8BitsAreKept() {
        Storage storage = Storage.ofArray(Format.INT8, 255);
        float[] values = new float[255];
        for (int i = 0; i < 255; i++) {
            values[i] = i - 127;
        }
        storage.write(values, 0, 255, 0);
        float[] found = new float[255];
        storage.read(0, 255, found, 0);
        assertArrayEquals(values, found);
        assertEquals(-127, storage.segment().get(ValueLayout.JAVA_BYTE, 0));
    }

    private float[] normal(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
