package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Operations on rows, activations and their gradients on tiles: every vector kernel and emitted one against its scalar twin, bit for bit. */
class TileElementwiseTest {

    private static final int[] LENGTHS = {0, 1, 13, 16, 31, 32, 33, 63, 64, 65, 207};

    private final TileKernels scalar = CpuTier.SCALAR.create();
    private final TileKernels vector = CpuTier.VECTOR.create();
    private final RandomNumbers numbers = new RandomNumbers(7);

    @Test
    void rowOperations() {
        for (int n : LENGTHS) {
            float[] x = numbers.normal(n + 1);
            float[] start = numbers.guarded(n);
            float[] expected = start.clone();
            float[] actual = start.clone();
            scalar.axpy(n, 1.7f, x, 1, expected, 8);
            vector.axpy(n, 1.7f, x, 1, actual, 8);
            assertArrayEquals(expected, actual, "axpy " + n);
            scalar.scale(n, -0.3f, expected, 8);
            vector.scale(n, -0.3f, actual, 8);
            assertArrayEquals(expected, actual, "scale " + n);
            float[] lanes = new float[TileKernels.DOT_LANES];
            assertEquals(scalar.dot(n, x, 1, expected, 8, lanes), vector.dot(n, x, 1, expected, 8, lanes), "dot " + n);
        }
    }

    @Test
    void dotIsTheSumOfProducts() {
        int n = 1000;
        float[] x = numbers.normal(n);
        float[] y = numbers.normal(n);
        double sum = 0;
        double magnitude = 0;
        for (int i = 0; i < n; i++) {
            sum += (double) x[i] * y[i];
            magnitude += Math.abs((double) x[i] * y[i]);
        }
        assertEquals(sum, scalar.dot(n, x, 0, y, 0, new float[TileKernels.DOT_LANES]), 40 * 0x1p-24 * magnitude);
    }

    @Test
    void vectorActivationsOfAllFunctions() {
        activationsOfAllFunctions(vector);
    }

    @Test
    void emittedActivationsOfAllFunctions() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        activationsOfAllFunctions(new EmittedKernels(Width.YMM, scalar));
        if (EmittedSupport.widest() == Width.ZMM) {
            activationsOfAllFunctions(new EmittedKernels(Width.ZMM, scalar));
        }
    }

    private void activationsOfAllFunctions(TileKernels kernels) {
        for (FloatActivation activation : activations()) {
            for (int n : new int[] {31, 2048}) {
                float[] a = inputs(n);
                float[] b = shuffled(a);
                float[] g = numbers.normal(n);
                String what = activation + " " + n;
                float[] expected = numbers.guarded(n);
                float[] actual = expected.clone();
                scalar.activate(activation, n, a, 0, expected, 8);
                kernels.activate(activation, n, a, 0, actual, 8);
                assertArrayEquals(expected, actual, what);
                scalar.activateGated(activation, n, a, 0, b, 0, expected, 8);
                kernels.activateGated(activation, n, a, 0, b, 0, actual, 8);
                assertArrayEquals(expected, actual, what + " gated");
                float[] da = a.clone();
                float[] db = b.clone();
                float[] vectorA = a.clone();
                float[] vectorB = b.clone();
                scalar.differentiateGated(activation, n, g, 0, da, 0, db, 0, new float[n]);
                kernels.differentiateGated(activation, n, g, 0, vectorA, 0, vectorB, 0, new float[n]);
                assertArrayEquals(da, vectorA, what + " da");
                assertArrayEquals(db, vectorB, what + " db");
                scalar.differentiate(activation, n, g, 0, a, 0);
                float[] again = inputs(n);
                kernels.differentiate(activation, n, g, 0, again, 0);
                assertArrayEquals(a, again, what + " derivative");
            }
        }
    }

    @Test
    void activateTiles() {
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        assumeTrue(EmittedSupport.widest() == Width.ZMM, "no AVX-512");
        TileKernels kernels = new EmittedKernels(Width.ZMM, scalar);
        List<FloatActivation> there =
                activations().stream().filter(kernels::activatesTiles).toList();
        assertEquals(4, there.size());
        try (Arena arena = Arena.ofConfined()) {
            for (FloatActivation activation : there) {
                for (int rows : new int[] {0, 1, 7, 66}) {
                    for (int stride : new int[] {16, 19, 48}) {
                        int length = 16 + rows * stride;
                        activateTile(kernels, activation, rows, stride, arena.allocate(4L * length, 64));
                        activateTile(kernels, activation, rows, stride, MemorySegment.ofArray(new float[length]));
                    }
                }
            }
        }
    }

    /** Results between guard elements, in native memory also where it is written past the caches. */
    private void activateTile(
            TileKernels kernels, FloatActivation activation, int rows, int stride, MemorySegment target) {
        int size = rows * TileKernels.PANEL;
        float[] tile = Arrays.copyOf(inputs(Math.max(size, 20)), size + 3);
        System.arraycopy(tile.clone(), 0, tile, 3, size);
        float[] expected = new float[(int) (target.byteSize() / Float.BYTES)];
        Arrays.fill(expected, RandomNumbers.GUARD);
        MemorySegment.copy(expected, 0, target, ValueLayout.JAVA_FLOAT, 0, expected.length);
        for (int i = 0; i < rows; i++) {
            int from = 3 + i * TileKernels.PANEL;
            int half = TileKernels.BLOCK;
            scalar.activateGated(activation, half, tile, from, tile, from + half, expected, 16 + i * stride);
        }
        kernels.activateTile(activation, rows, Storage.of(tile), 3, target, 16, stride);
        String what = "%s, %d rows, stride %d".formatted(activation, rows, stride);
        assertArrayEquals(expected, target.toArray(ValueLayout.JAVA_FLOAT), what);
    }

    @Test
    void differentiateTiles() {
        differentiateTiles(vector);
        assumeTrue(EmittedSupport.disqualifier() == null, EmittedSupport.disqualifier());
        differentiateTiles(new EmittedKernels(Width.YMM, scalar));
        if (EmittedSupport.widest() == Width.ZMM) {
            differentiateTiles(new EmittedKernels(Width.ZMM, scalar));
        }
    }

    private void differentiateTiles(TileKernels kernels) {
        for (FloatActivation activation : activations()) {
            for (int rows : new int[] {0, 1, 7, 66}) {
                for (int variant = 0; variant < 8; variant++) {
                    boolean gated = (variant & 1) != 0;
                    boolean recompute = (variant & 2) != 0;
                    boolean sums = (variant & 4) != 0;
                    float[][] expected = differentiateTile(scalar, activation, gated, recompute, sums, rows);
                    float[][] actual = differentiateTile(kernels, activation, gated, recompute, sums, rows);
                    String what =
                            "%s: %s, %d rows, variant %d".formatted(kernels.description(), activation, rows, variant);
                    for (int i = 0; i < expected.length; i++) {
                        assertArrayEquals(expected[i], actual[i], what + ", result " + i);
                    }
                }
            }
        }
    }

    /** a, b, h and the sums, between guard elements. */
    private static float[][] differentiateTile(
            TileKernels kernels, FloatActivation activation, boolean gated, boolean recompute, boolean sums, int rows) {
        Random random = new Random(rows);
        int size = rows * TileKernels.PANEL;
        float[] a = Arrays.copyOf(inputs(Math.max(size, 1)), size + 8);
        float[] b = new float[size + 8];
        float[] g = new float[size + 8];
        float[] h = new float[size + 8];
        float[] factors = new float[rows];
        for (int i = 0; i < size; i++) {
            b[i] = a[(i * 7 + 3) % size];
            g[3 + i] = (float) random.nextGaussian();
            h[i] = recompute ? Float.NaN : (float) random.nextGaussian();
        }
        for (int i = 0; i < rows; i++) {
            factors[i] = (float) random.nextGaussian();
        }
        float[] dots = new float[sums ? 3 * rows + 8 : 0];
        Arrays.fill(dots, RandomNumbers.GUARD);
        TileGradient tile = new TileGradient();
        tile.rows = rows;
        tile.gated = gated;
        tile.recompute = recompute;
        tile.g = Storage.of(g);
        tile.gOffset = 3;
        tile.a = Storage.of(a);
        tile.b = Storage.of(b);
        tile.h = Storage.of(h);
        tile.factors = Storage.of(factors);
        tile.dots = Storage.of(dots);
        tile.dotsOffset = 2;
        tile.dotsStride = 3;
        tile.scratch = Storage.of(new float[size]);
        kernels.differentiateTile(activation, tile);
        return new float[][] {a, b, h, dots};
    }

    static List<FloatActivation> activations() {
        List<FloatActivation> all = new ArrayList<>();
        for (Activation.Function function : Activation.Function.values()) {
            all.add(FloatActivation.of(Activation.of(function)));
        }
        all.add(FloatActivation.of(new Activation(Activation.Function.SILU, 1.702, 7, 7, 1)));
        all.add(FloatActivation.of(new Activation(Activation.Function.GELU_TANH, 1, 2.5, 0.5, -0.25)));
        return all;
    }

    /** Special values first, then all magnitudes of both signs. */
    private static float[] inputs(int n) {
        float[] special = {
            0f,
            -0f,
            1,
            -1,
            Float.NaN,
            Float.POSITIVE_INFINITY,
            Float.NEGATIVE_INFINITY,
            Float.MAX_VALUE,
            -Float.MAX_VALUE,
            Float.MIN_VALUE,
            -Float.MIN_VALUE,
            88.7f,
            89.5f,
            -87.5f,
            -103.9f,
            -104.1f,
            20,
            -20,
            7,
            -7
        };
        Random random = new Random(11);
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            float scale = (float) Math.pow(10, random.nextInt(9) - 5);
            values[i] = i < special.length ? special[i] : (float) random.nextGaussian() * scale;
        }
        return values;
    }

    private static float[] shuffled(float[] values) {
        float[] result = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = values[(int) ((i * 7L + 3) % values.length)];
        }
        return result;
    }
}
