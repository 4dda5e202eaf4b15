package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Kernel.TILE;
import static dev.dropless.kernels.tornado.engine.Kernel.WARP;
import static dev.dropless.kernels.tornado.engine.Tables.A_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.A_DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.A_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.BIAS;
import static dev.dropless.kernels.tornado.engine.Tables.B_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.B_COLUMN;
import static dev.dropless.kernels.tornado.engine.Tables.B_DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.COLUMNS;
import static dev.dropless.kernels.tornado.engine.Tables.C_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.C_COLUMN;
import static dev.dropless.kernels.tornado.engine.Tables.C_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_SEGMENT;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_TILE;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;
import static dev.dropless.kernels.tornado.engine.Tables.ROWS;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_SCALE;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENTS;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENT_WORDS;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/**
 * Grouped products of 16-bit floats on tensor cores, summed in single precision, by groups of two warps. A group computes
 * a tile of {@code TILE} x {@code TILE} elements, each warp 16 rows of it: four accumulators of 16 x 8. Sixteen steps of
 * both operands lie in local memory as pairs of 16-bit floats, zero where the operand ends: the left one row by row, the
 * right one in panels of eight columns, step by step, as {@code mmaLoadA} and {@code mmaLoadB} read them.
 *
 * <p>Accumulators can only be stored whole, so tiles go to scratch memory, and {@link #store} takes them from there.
 */
public final class ProductCores {

    private static final int STEPS = 16;

    /** Pairs of a row of the left operand. */
    private static final int ROW_PAIRS = STEPS / 2;

    /** Pairs of all rows, and of all panels. */
    private static final int STAGED = TILE * ROW_PAIRS;

    /** Pairs of a step of a panel. */
    private static final int STEP_PAIRS = 4;

    private static final int PANEL_PAIRS = STEPS * STEP_PAIRS;

    private static final int PANEL_BYTES = 4 * PANEL_PAIRS;

    /** Bytes of the 16 rows of a warp. */
    private static final int WARP_BYTES = 16 * 2 * STEPS;

    private ProductCores() {}

    /** Bits of two steps of a row of the left operand, the first one in the lower half. */
    private static int leftPair(IntArray ints, ShortArray halves, int g, int s, int i, int l) {
        int low = 0;
        int high = 0;
        if (i < ints.get(g + ROWS)) {
            int row = ints.get(g + ROW_MAP) == NONE ? i : ints.get(ints.get(g + ROW_MAP) + i);
            int at = ints.get(s + A_BASE) + row * ints.get(s + A_ROW) + l * ints.get(s + A_DEPTH);
            int depth = ints.get(s + DEPTH);
            if (l < depth) {
                low = halves.get(at) & 0xFFFF;
            }
            if (l + 1 < depth) {
                high = halves.get(at + ints.get(s + A_DEPTH)) & 0xFFFF;
            }
        }
        return low | (high << 16);
    }

    /** Bits of two columns of a step of the right operand, the first one in the lower half. */
    private static int rightPair(IntArray ints, ShortArray halves, int g, int s, int l, int j) {
        int low = 0;
        int high = 0;
        if (l < ints.get(s + DEPTH)) {
            int at = ints.get(s + B_BASE) + l * ints.get(s + B_DEPTH) + j * ints.get(s + B_COLUMN);
            int columns = ints.get(g + COLUMNS);
            if (j < columns) {
                low = halves.get(at) & 0xFFFF;
            }
            if (j + 1 < columns) {
                high = halves.get(at + ints.get(s + B_COLUMN)) & 0xFFFF;
            }
        }
        return low | (high << 16);
    }

    /** Copies sixteen steps of both operands to local memory. */
    private static void stage(
            IntArray ints,
            ShortArray halves,
            int[] left,
            int[] right,
            int thread,
            int g,
            int s,
            int l0,
            int firstRow,
            int firstColumn) {
        for (int m = thread; m < STAGED; m += 2 * WARP) {
            left[m] = leftPair(ints, halves, g, s, firstRow + m / ROW_PAIRS, l0 + 2 * (m % ROW_PAIRS));
            int column = 8 * (m / PANEL_PAIRS) + 2 * (m % STEP_PAIRS);
            int step = m % PANEL_PAIRS / STEP_PAIRS;
            right[m] = rightPair(ints, halves, g, s, l0 + step, firstColumn + column);
        }
    }

    /** The record of a group's segment. */
    private static int segment(IntArray words, IntArray ints, int g, int n) {
        return words.get(4) + (ints.get(g + FIRST_SEGMENT) + n) * SEGMENT_WORDS;
    }

    /** How many times sixteen steps a group has. */
    private static int stages(IntArray words, IntArray ints, int g) {
        int stages = 0;
        for (int n = 0; n < ints.get(g + SEGMENTS); n++) {
            stages += (ints.get(segment(words, ints, g, n) + DEPTH) + STEPS - 1) / STEPS;
        }
        return stages;
    }

    /** Row of the scratch memory, of {@code TILE} columns, where a warp's rows of a tile begin. */
    private static int scratchRow(IntArray words, int tileRow, int tileColumn, int warp) {
        return words.get(5) + (tileRow * words.get(6) + tileColumn) * TILE + warp * 16;
    }

    /**
     * A grouped product of bfloat16. TornadoVM carries accumulators through one loop and through no branch, so all segments
     * make one loop.
     *
     * @param context which thread this is; its groups count tiles of columns and tiles of rows
     * @param words tiles of rows of all groups, columns of the widest group, groups, where their records begin, where the
     *     segments' begin, number of the first row of the scratch memory, tiles of columns
     * @param ints the tables
     * @param halves the operands
     * @param floats the scratch memory
     */
    public static void bfloat16(
            KernelContext context, IntArray words, IntArray ints, ShortArray halves, FloatArray floats) {
        int[] left = context.allocateIntLocalArray(STAGED);
        int[] right = context.allocateIntLocalArray(STAGED);
        int thread = context.localIdx;
        int warp = thread / WARP;
        int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_TILE, context.groupIdy);
        int firstRow = (context.groupIdy - ints.get(g + FIRST_TILE)) * TILE;
        int firstColumn = context.groupIdx * TILE;
        int stages = stages(words, ints, g);
        int n = 0;
        int l0 = 0;
        float[] c0 = context.mmaFragment(0.0f);
        float[] c1 = context.mmaFragment(0.0f);
        float[] c2 = context.mmaFragment(0.0f);
        float[] c3 = context.mmaFragment(0.0f);
        for (int stage = 0; stage < stages; stage++) {
            while (l0 >= ints.get(segment(words, ints, g, n) + DEPTH)) {
                n++;
                l0 = 0;
            }
            stage(ints, halves, left, right, thread, g, segment(words, ints, g, n), l0, firstRow, firstColumn);
            l0 += STEPS;
            context.localBarrier();
            HalfFloat[] a = context.mmaLoadA(left, STEPS, warp * WARP_BYTES);
            HalfFloat[] b0 = context.mmaLoadB(right, STEPS, 0);
            HalfFloat[] b1 = context.mmaLoadB(right, STEPS, PANEL_BYTES);
            HalfFloat[] b2 = context.mmaLoadB(right, STEPS, 2 * PANEL_BYTES);
            HalfFloat[] b3 = context.mmaLoadB(right, STEPS, 3 * PANEL_BYTES);
            c0 = context.mmaBF16(a, b0, c0, MMAShape.M16N8K16);
            c1 = context.mmaBF16(a, b1, c1, MMAShape.M16N8K16);
            c2 = context.mmaBF16(a, b2, c2, MMAShape.M16N8K16);
            c3 = context.mmaBF16(a, b3, c3, MMAShape.M16N8K16);
            context.localBarrier();
        }
        int row = scratchRow(words, context.groupIdy, context.groupIdx, warp);
        context.mmaStore(c0, floats, row, 0, TILE);
        context.mmaStore(c1, floats, row, 8, TILE);
        context.mmaStore(c2, floats, row, 16, TILE);
        context.mmaStore(c3, floats, row, 24, TILE);
    }

    /**
     * A grouped product of binary16: {@link #bfloat16} but for the instruction, which no branch may choose.
     *
     * @param context which thread this is
     * @param words as for {@link #bfloat16}
     * @param ints the tables
     * @param halves the operands
     * @param floats the scratch memory
     */
    public static void binary16(
            KernelContext context, IntArray words, IntArray ints, ShortArray halves, FloatArray floats) {
        int[] left = context.allocateIntLocalArray(STAGED);
        int[] right = context.allocateIntLocalArray(STAGED);
        int thread = context.localIdx;
        int warp = thread / WARP;
        int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_TILE, context.groupIdy);
        int firstRow = (context.groupIdy - ints.get(g + FIRST_TILE)) * TILE;
        int firstColumn = context.groupIdx * TILE;
        int stages = stages(words, ints, g);
        int n = 0;
        int l0 = 0;
        float[] c0 = context.mmaFragment(0.0f);
        float[] c1 = context.mmaFragment(0.0f);
        float[] c2 = context.mmaFragment(0.0f);
        float[] c3 = context.mmaFragment(0.0f);
        for (int stage = 0; stage < stages; stage++) {
            while (l0 >= ints.get(segment(words, ints, g, n) + DEPTH)) {
                n++;
                l0 = 0;
            }
            stage(ints, halves, left, right, thread, g, segment(words, ints, g, n), l0, firstRow, firstColumn);
            l0 += STEPS;
            context.localBarrier();
            HalfFloat[] a = context.mmaLoadA(left, STEPS, warp * WARP_BYTES);
            HalfFloat[] b0 = context.mmaLoadB(right, STEPS, 0);
            HalfFloat[] b1 = context.mmaLoadB(right, STEPS, PANEL_BYTES);
            HalfFloat[] b2 = context.mmaLoadB(right, STEPS, 2 * PANEL_BYTES);
            HalfFloat[] b3 = context.mmaLoadB(right, STEPS, 3 * PANEL_BYTES);
            c0 = context.mma(a, b0, c0, MMAShape.M16N8K16);
            c1 = context.mma(a, b1, c1, MMAShape.M16N8K16);
            c2 = context.mma(a, b2, c2, MMAShape.M16N8K16);
            c3 = context.mma(a, b3, c3, MMAShape.M16N8K16);
            context.localBarrier();
        }
        int row = scratchRow(words, context.groupIdy, context.groupIdx, warp);
        context.mmaStore(c0, floats, row, 0, TILE);
        context.mmaStore(c1, floats, row, 8, TILE);
        context.mmaStore(c2, floats, row, 16, TILE);
        context.mmaStore(c3, floats, row, 24, TILE);
    }

    /**
     * Takes sums from scratch memory, scales them, adds the bias, and stores them where they belong.
     *
     * @param words rows of all groups instead of tiles, then as for {@link #bfloat16}; at the end 1 to add to the result
     * @param constants unused
     * @param ints the tables
     * @param floats the matrices
     */
    public static void store(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int r = 0; r < words.get(0); r++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_ROW, r);
                if (j < ints.get(g + COLUMNS)) {
                    int i = r - ints.get(g + FIRST_ROW);
                    int tile = (ints.get(g + FIRST_TILE) + i / TILE) * words.get(6) + j / TILE;
                    float sum = floats.get((words.get(5) + tile * TILE + i % TILE) * TILE + j % TILE);
                    sum = ints.get(g + ROW_SCALE) == NONE ? sum : sum * floats.get(ints.get(g + ROW_SCALE) + i);
                    sum = ints.get(g + BIAS) == NONE ? sum : sum + floats.get(ints.get(g + BIAS) + j);
                    int c = ints.get(g + C_BASE) + i * ints.get(g + C_ROW) + j * ints.get(g + C_COLUMN);
                    floats.set(c, words.get(7) == 0 ? sum : floats.get(c) + sum);
                }
            }
        }
    }
}
