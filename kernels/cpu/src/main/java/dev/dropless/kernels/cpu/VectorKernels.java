package dev.dropless.kernels.cpu;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The Vector API tier. Loaded only where the module jdk.incubator.vector is resolved. */
final class VectorKernels implements TileKernels {

    private static final VectorSpecies<Float> FLOATS = VectorMath.FLOATS;
    private static final int LANES = FLOATS.length();
    private static final ScalarKernels TAIL = new ScalarKernels();
    /** Where a store with an empty mask is one instruction, which the processor takes as a request for its cache line. */
    private static final boolean FETCHES =
            System.getProperty("os.arch").equals("amd64") && FLOATS.vectorBitSize() == 512;
    /**
     * The compiler hoists the broadcasts of a row group to the top of the loop body, so of 32 registers 10 must stay free, of 16 six; beyond that accumulators are
     * spilled inside the loop and speed halves. x86 has 32 vector registers only with AVX-512.
     */
    private static final int INTERLEAVED_ROWS =
            System.getProperty("os.arch").equals("amd64") && FLOATS.vectorBitSize() < 512 ? 4 : 9;
    /** Broadcasts are not hoisted past a store, so loops that fetch need fewer registers. */
    private static final int MAX_ROWS = FETCHES ? 12 : INTERLEAVED_ROWS;

    /** Shared by all instances: a class generated anew would have to be compiled anew. */
    private static final MicroKernel MICRO = MicroKernelGenerator.generate(FLOATS, MAX_ROWS, FETCHES);

    @Override
    public CpuTier tier() {
        return CpuTier.VECTOR;
    }

    @Override
    public String description() {
        return "vector " + FLOATS.vectorBitSize() + " bit";
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
        int groups = Math.ceilDiv(rows, MAX_ROWS);
        for (int group = 0; group < groups; group++) {
            int first = rows * group / groups;
            int height = rows * (group + 1) / groups - first;
            int from = firstA + first * ROW_STRIDE;
            int to = firstC + first * PANEL;
            int step = step(nextLength, groups * depth);
            int part = nextOffset + group * step * depth;
            boolean fetch = next == b && part < nextOffset + nextLength && inside(b, part, step, depth);
            int ahead = fetch ? b.base() + part : firstB;
            for (int j = 0; j < PANEL; j += 2 * LANES) {
                MICRO.multiply(height, depth, left, from, 0, panel, firstB + j, tile, to + j, ahead, fetch ? step : 0);
            }
        }
    }

    /** Elements from one fetched vector to the next, where {@code length} elements are fetched in some steps: at most a vector, since what is left out is lost. */
    private static int step(int length, int steps) {
        return steps == 0 ? 0 : Math.min(LANES, Math.ceilDiv(length, steps));
    }

    /** Whether all vectors that are to be fetched lie in an array. */
    private static boolean inside(Storage next, int offset, int step, int steps) {
        return offset >= 0 && offset + (long) step * steps + LANES <= next.elements();
    }

    @Override
    public int interleavedRows() {
        return INTERLEAVED_ROWS;
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
        for (int first = 0; first < rows; first += INTERLEAVED_ROWS) {
            int height = Math.min(INTERLEAVED_ROWS, rows - first);
            int from = firstA + first / INTERLEAVED_ROWS * depth * BLOCK;
            int to = firstC + first * PANEL;
            for (int j = 0; j < PANEL; j += 2 * LANES) {
                MICRO.multiplyColumns(height, depth, left, from, 0, panel, firstB + j, tile, to + j, 0, 0);
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
        int groups = Math.ceilDiv(rows, MAX_ROWS);
        for (int group = 0; group < groups; group++) {
            int first = rows * group / groups;
            int height = rows * (group + 1) / groups - first;
            int from = firstA + first * PANEL;
            int to = firstC + first * PANEL;
            int step = step(nextLength, groups * PANEL);
            int part = nextOffset + group * step * PANEL;
            int last = part + (depth / PANEL - 1) * aStride;
            boolean fetch = part >= 0 && inside(a, last, step, PANEL);
            int ahead = fetch ? a.base() + part : from;
            for (int j = 0; j < columns; j += 2 * LANES) {
                MICRO.multiplyPanels(
                        height, depth, left, from, aStride, panel, firstB + j, tile, to + j, ahead, fetch ? step : 0);
            }
        }
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
        TAIL.transpose(
                blocks, source, sourceOffset, sourceStride, sourceStep, target, targetOffset, targetStride, targetStep);
    }

    @Override
    public boolean converts(Format from, Format to) {
        return VectorConversions.has(from, to);
    }

    @Override
    public void convertRows(
            int rows,
            int columns,
            Format from,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            Format to,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        if (rows == 0) {
            return;
        }
        Rows.check(rows, columns, source, from, sourceOffset, sourceStride);
        Rows.check(rows, columns, target, to, targetOffset, targetStride);
        boolean joined = sourceStride == columns && targetStride == columns;
        int runs = joined ? 1 : rows;
        int length = joined ? rows * columns : columns;
        for (int i = 0; i < runs; i++) {
            long read = sourceOffset + i * sourceStride;
            long write = targetOffset + i * targetStride;
            if (!VectorConversions.convert(from, source, read, to, target, write, length)) {
                Rows.convert(from, source, read, to, target, write, length);
            }
        }
    }

    @Override
    public void axpy(int n, float alpha, float[] x, int xOffset, float[] y, int yOffset) {
        int end = FLOATS.loopBound(n);
        FloatVector factor = FloatVector.broadcast(FLOATS, alpha);
        for (int i = 0; i < end; i += LANES) {
            FloatVector sum = FloatVector.fromArray(FLOATS, y, yOffset + i);
            factor.fma(FloatVector.fromArray(FLOATS, x, xOffset + i), sum).intoArray(y, yOffset + i);
        }
        TAIL.axpy(n - end, alpha, x, xOffset + end, y, yOffset + end);
    }

    @Override
    public void scale(int n, float alpha, float[] x, int xOffset) {
        int end = FLOATS.loopBound(n);
        for (int i = 0; i < end; i += LANES) {
            FloatVector.fromArray(FLOATS, x, xOffset + i).mul(alpha).intoArray(x, xOffset + i);
        }
        TAIL.scale(n - end, alpha, x, xOffset + end);
    }

    @Override
    public float dot(int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes) {
        Arrays.fill(lanes, 0, DOT_LANES, 0f);
        int end = n - n % DOT_LANES;
        for (int lane = 0; lane < DOT_LANES && end > 0; lane += LANES) {
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int i = lane; i < end; i += DOT_LANES) {
                FloatVector factor = FloatVector.fromArray(FLOATS, x, xOffset + i);
                sum = factor.fma(FloatVector.fromArray(FLOATS, y, yOffset + i), sum);
            }
            sum.intoArray(lanes, lane);
        }
        ScalarKernels.addProducts(end, n, x, xOffset, y, yOffset, lanes);
        return FloatMath.sumLanes(lanes);
    }

    @Override
    public void activate(FloatActivation activation, int n, float[] a, int aOffset, float[] h, int hOffset) {
        int end = FLOATS.loopBound(n);
        VectorActivations.hidden(activation, end, a, aOffset, h, hOffset);
        TAIL.activate(activation, n - end, a, aOffset + end, h, hOffset + end);
    }

    @Override
    public void activateGated(
            FloatActivation activation, int n, float[] a, int aOffset, float[] b, int bOffset, float[] h, int hOffset) {
        int end = FLOATS.loopBound(n);
        VectorActivations.hidden(activation, end, a, aOffset, h, hOffset);
        VectorActivations.multiplyByUp(activation, end, b, bOffset, h, hOffset);
        TAIL.activateGated(activation, n - end, a, aOffset + end, b, bOffset + end, h, hOffset + end);
    }

    @Override
    public void differentiate(FloatActivation activation, int n, float[] g, int gOffset, float[] a, int aOffset) {
        int end = FLOATS.loopBound(n);
        VectorActivations.slopes(activation, end, a, aOffset);
        VectorActivations.multiply(end, g, gOffset, a, aOffset, a, aOffset);
        TAIL.differentiate(activation, n - end, g, gOffset + end, a, aOffset + end);
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
        int end = FLOATS.loopBound(n);
        VectorActivations.hidden(activation, end, a, aOffset, h, 0);
        VectorActivations.slopes(activation, end, a, aOffset);
        VectorActivations.multiplyByUp(activation, end, b, bOffset, a, aOffset);
        VectorActivations.multiply(end, g, gOffset, a, aOffset, a, aOffset);
        VectorActivations.withinLimit(activation, end, b, bOffset, h, 0);
        VectorActivations.multiply(end, g, gOffset, h, 0, b, bOffset);
        TAIL.differentiateGated(activation, n - end, g, gOffset + end, a, aOffset + end, b, bOffset + end, h);
    }
}
