package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A dense product C = A B in single precision, row-major, the same operands every time.
 *
 * @param m rows of A
 * @param k columns of A
 * @param n columns of B
 * @param threads 1 or more
 */
public record GemmTask(int m, int k, int n, int threads) implements Task {

    private static final Pattern NAME = Pattern.compile("gemm-(\\d+)x(\\d+)x(\\d+)");

    /**
     * Reads the sizes out of a name.
     *
     * @param name gemm-MxKxN
     * @param threads 1 or more
     * @return the task
     * @throws IllegalArgumentException if the name has another form
     */
    public static GemmTask named(String name, int threads) {
        Matcher sizes = NAME.matcher(name);
        if (!sizes.matches()) {
            throw new IllegalArgumentException("shape: expected gemm-MxKxN, found \"" + name + "\"");
        }
        return new GemmTask(
                Integer.parseInt(sizes.group(1)),
                Integer.parseInt(sizes.group(2)),
                Integer.parseInt(sizes.group(3)),
                threads);
    }

    /**
     * Makes the left operand.
     *
     * @param arena owner of the memory
     * @return A [m, k]
     */
    public Matrix newA(Arena arena) {
        return Values.fill(11, 1, Matrix.allocate(arena, ElementType.F32, m, k));
    }

    /**
     * Makes the right operand.
     *
     * @param arena owner of the memory
     * @return B [k, n]
     */
    public Matrix newB(Arena arena) {
        return Values.fill(12, 1, Matrix.allocate(arena, ElementType.F32, k, n));
    }

    /**
     * Compares the first, the middle and the last row with double precision.
     *
     * @param c what was computed [m, n]
     * @return largest error relative to the largest magnitude of its row
     * @throws Arm.CheckFailed if it is above 1e-5
     */
    public double check(Matrix c) {
        double worst = 0;
        try (Arena arena = Arena.ofConfined()) {
            Matrix a = newA(arena);
            Matrix b = newB(arena);
            for (int i : new int[] {0, m / 2, m - 1}) {
                double[] expected = new double[n];
                double[] found = new double[n];
                for (int p = 0; p < k; p++) {
                    double factor = a.get(i, p);
                    for (int j = 0; j < n; j++) {
                        expected[j] += factor * b.get(p, j);
                    }
                }
                for (int j = 0; j < n; j++) {
                    found[j] = c.get(i, j);
                }
                worst = Math.max(worst, LayerCheck.worstError("c[" + i + "]", found, expected, 1e-5));
            }
        }
        return worst;
    }

    @Override
    public String shape() {
        return "gemm-%dx%dx%d".formatted(m, k, n);
    }

    @Override
    public int tokens() {
        return m;
    }

    @Override
    public String routing() {
        return "none";
    }

    @Override
    public String pass() {
        return "gemm";
    }

    @Override
    public String dtype() {
        return "f32";
    }

    @Override
    public double usefulFlops() {
        return 2.0 * m * k * n;
    }

    @Override
    public double compulsoryBytes() {
        return 4.0 * ((double) m * k + (double) k * n + (double) m * n);
    }
}
