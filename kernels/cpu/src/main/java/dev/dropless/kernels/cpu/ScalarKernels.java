package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Plain Java, for processors and runtimes without the Vector API; also the tails of the vector loops, and what the other tiers are tested against. */
final class ScalarKernels implements TileKernels {

    /** Columns of one pass: as many independent chains as hide the latency of a multiply-add. */
    private static final int LANES = 8;

    @Override
    public CpuTier tier() {
        return CpuTier.SCALAR;
    }

    @Override
    public String description() {
        return "scalar";
    }

    @Override
    public void multiply(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Storage next,
            int nextOffset,
            int nextLength) {
        float[] left = a.array();
        float[] panel = b.array();
        float[] tile = c.array();
        int firstA = a.base() + aOffset;
        int firstB = b.base() + bOffset;
        int firstC = c.base() + cOffset;
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < PANEL; j += LANES) {
                multiply(depth, left, firstA + i * ROW_STRIDE, 1, panel, firstB + j, tile, firstC + i * PANEL + j);
            }
        }
    }

    @Override
    public int interleavedRows() {
        return BLOCK;
    }

    @Override
    public void multiplyColumns(
            int rows, int depth, Storage a, int aOffset, Storage b, int bOffset, Storage c, int cOffset) {
        float[] left = a.array();
        float[] panel = b.array();
        float[] tile = c.array();
        int firstA = a.base() + aOffset;
        int firstB = b.base() + bOffset;
        int firstC = c.base() + cOffset;
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < PANEL; j += LANES) {
                int from = firstA + i / BLOCK * depth * BLOCK + i % BLOCK;
                multiply(depth, left, from, BLOCK, panel, firstB + j, tile, firstC + i * PANEL + j);
            }
        }
    }

    @Override
    public void multiplyPanels(
            int rows,
            int depth,
            int columns,
            Storage a,
            int aOffset,
            int aStride,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            int nextOffset,
            int nextLength) {
        float[] left = a.array();
        float[] panel = b.array();
        float[] tile = c.array();
        int firstA = a.base() + aOffset;
        int firstB = b.base() + bOffset;
        int firstC = c.base() + cOffset;
        for (int k = 0; k < depth; k += PANEL) {
            for (int i = 0; i < rows; i++) {
                int from = firstA + k / PANEL * aStride + i * PANEL;
                for (int j = 0; j < columns; j += LANES) {
                    multiply(PANEL, left, from, 1, panel, firstB + k * PANEL + j, tile, firstC + i * PANEL + j);
                }
            }
        }
    }

    private static void multiply(int depth, float[] a, int ao, int aStep, float[] b, int bo, float[] c, int co) {
        float c0 = c[co];
        float c1 = c[co + 1];
        float c2 = c[co + 2];
        float c3 = c[co + 3];
        float c4 = c[co + 4];
        float c5 = c[co + 5];
        float c6 = c[co + 6];
        float c7 = c[co + 7];
        for (int k = 0; k < depth; k++) {
            float x = a[ao + k * aStep];
            int row = bo + k * PANEL;
            c0 = Math.fma(x, b[row], c0);
            c1 = Math.fma(x, b[row + 1], c1);
            c2 = Math.fma(x, b[row + 2], c2);
            c3 = Math.fma(x, b[row + 3], c3);
            c4 = Math.fma(x, b[row + 4], c4);
            c5 = Math.fma(x, b[row + 5], c5);
            c6 = Math.fma(x, b[row + 6], c6);
            c7 = Math.fma(x, b[row + 7], c7);
        }
        c[co] = c0;
        c[co + 1] = c1;
        c[co + 2] = c2;
        c[co + 3] = c3;
        c[co + 4] = c4;
        c[co + 5] = c5;
        c[co + 6] = c6;
        c[co + 7] = c7;
    }

    @Override
    public void transpose(
            int blocks,
            Storage source,
            int sourceOffset,
            int sourceStride,
            int sourceStep,
            Storage target,
            int targetOffset,
            int targetStride,
            int targetStep) {
        float[] floats = target.array();
        for (int b = 0; b < blocks; b++) {
            int first = sourceOffset + b * sourceStep;
            int to = target.base() + targetOffset + b * targetStep;
            if (source.isArray()) {
                transpose(source.array(), source.base() + first, sourceStride, floats, to, targetStride);
            } else {
                transpose(source.segment(), first, sourceStride, floats, to, targetStride);
            }
        }
    }

    private static void transpose(
            float[] source, int from, int sourceStride, float[] target, int to, int targetStride) {
        for (int i = 0; i < BLOCK; i++) {
            for (int j = 0; j < BLOCK; j++) {
                target[to + j * targetStride + i] = source[from + i * sourceStride + j];
            }
        }
    }

    /** The same from memory of emitted code without a transposition of its own. */
    private static void transpose(
            MemorySegment source, long from, int sourceStride, float[] target, int to, int targetStride) {
        for (int i = 0; i < BLOCK; i++) {
            for (int j = 0; j < BLOCK; j++) {
                long index = from + (long) i * sourceStride + j;
                target[to + j * targetStride + i] = source.get(ElementType.FLOAT, index * Float.BYTES);
            }
        }
    }

    @Override
    public void axpy(int n, float alpha, float[] x, int xOffset, float[] y, int yOffset) {
        for (int i = 0; i < n; i++) {
            y[yOffset + i] = Math.fma(alpha, x[xOffset + i], y[yOffset + i]);
        }
    }

    @Override
    public void scale(int n, float alpha, float[] x, int xOffset) {
        for (int i = 0; i < n; i++) {
            x[xOffset + i] *= alpha;
        }
    }

    @Override
    public float dot(int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes) {
        Arrays.fill(lanes, 0, DOT_LANES, 0f);
        addProducts(0, n, x, xOffset, y, yOffset, lanes);
        return FloatMath.sumLanes(lanes);
    }

    /** Adds the products of elements from..n-1 to their lanes; {@code from} is a multiple of the number of lanes. */
    static void addProducts(int from, int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes) {
        for (int i = from; i < n; i += DOT_LANES) {
            int count = Math.min(DOT_LANES, n - i);
            for (int lane = 0; lane < count; lane++) {
                lanes[lane] = Math.fma(x[xOffset + i + lane], y[yOffset + i + lane], lanes[lane]);
            }
        }
    }

    @Override
    public void activate(FloatActivation activation, int n, float[] a, int aOffset, float[] h, int hOffset) {
        for (int i = 0; i < n; i++) {
            h[hOffset + i] = FloatMath.hidden(activation, a[aOffset + i]);
        }
    }

    @Override
    public void activateGated(
            FloatActivation activation, int n, float[] a, int aOffset, float[] b, int bOffset, float[] h, int hOffset) {
        for (int i = 0; i < n; i++) {
            h[hOffset + i] = FloatMath.hidden(activation, a[aOffset + i]) * FloatMath.up(activation, b[bOffset + i]);
        }
    }

    @Override
    public void differentiate(FloatActivation activation, int n, float[] g, int gOffset, float[] a, int aOffset) {
        for (int i = 0; i < n; i++) {
            a[aOffset + i] = g[gOffset + i] * FloatMath.dHidden(activation, a[aOffset + i]);
        }
    }

    @Override
    public void differentiateGated(
            FloatActivation activation,
            int n,
            float[] g,
            int gOffset,
            float[] a,
            int aOffset,
            float[] b,
            int bOffset,
            float[] h) {
        for (int i = 0; i < n; i++) {
            float gate = a[aOffset + i];
            float up = b[bOffset + i];
            float gradient = g[gOffset + i];
            a[aOffset + i] = gradient * (FloatMath.dHidden(activation, gate) * FloatMath.up(activation, up));
            b[bOffset + i] = gradient * (Math.abs(up) > activation.upLimit() ? 0 : FloatMath.hidden(activation, gate));
        }
    }
}
