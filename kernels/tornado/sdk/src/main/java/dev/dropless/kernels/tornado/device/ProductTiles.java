package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Kernel.THREADS;
import static dev.dropless.kernels.tornado.engine.Kernel.TILE;
import static dev.dropless.kernels.tornado.engine.Tables.A_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.A_DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.A_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.A_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.BIAS;
import static dev.dropless.kernels.tornado.engine.Tables.B_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.B_COLUMN;
import static dev.dropless.kernels.tornado.engine.Tables.B_DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.B_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.COLUMNS;
import static dev.dropless.kernels.tornado.engine.Tables.C_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.C_COLUMN;
import static dev.dropless.kernels.tornado.engine.Tables.C_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.DEPTH_SCALE;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_SEGMENT;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_TILE;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;
import static dev.dropless.kernels.tornado.engine.Tables.ROWS;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_SCALE;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENTS;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENT_WORDS;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * Grouped products by groups of {@code THREADS} x {@code THREADS} threads. A group of threads computes a tile of
 * {@code TILE} x {@code TILE} elements: it copies {@code STEPS} steps of both operands to local memory, zero where the
 * operand ends, and each thread adds them up for four elements.
 */
public final class ProductTiles {

    /** Steps of the summation that are in local memory at a time. */
    static final int STEPS = 16;

    private static final int STAGED = TILE * STEPS;

    private ProductTiles() {}

    /**
     * A grouped product; the steps of the summation are neither numbered nor weighted.
     *
     * @param context which thread this is; its groups count tiles of columns and tiles of rows
     * @param words tiles of rows of all groups, columns of the widest group, groups, where their records begin, where the
     *     segments' begin, 1 to add to the result
     * @param constants unused
     * @param ints the tables
     * @param floats the matrices
     */
    public static void product(
            KernelContext context, IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        float[] left = context.allocateFloatLocalArray(STAGED);
        float[] right = context.allocateFloatLocalArray(STAGED);
        int x = context.localIdx;
        int y = context.localIdy;
        int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_TILE, context.groupIdy);
        int firstRow = (context.groupIdy - ints.get(g + FIRST_TILE)) * TILE;
        int firstColumn = context.groupIdx * TILE;
        int rows = ints.get(g + ROWS);
        int columns = ints.get(g + COLUMNS);
        int map = ints.get(g + ROW_MAP);
        int segments = firstColumn < columns ? ints.get(g + SEGMENTS) : 0;
        float upperLeft = 0;
        float upperRight = 0;
        float lowerLeft = 0;
        float lowerRight = 0;
        for (int n = 0; n < segments; n++) {
            int s = words.get(4) + (ints.get(g + FIRST_SEGMENT) + n) * SEGMENT_WORDS;
            int depth = ints.get(s + DEPTH);
            for (int l0 = 0; l0 < depth; l0 += STEPS) {
                for (int m = y * THREADS + x; m < STAGED; m += THREADS * THREADS) {
                    int i = firstRow + m / STEPS;
                    int l = l0 + m % STEPS;
                    float value = 0;
                    if (i < rows && l < depth) {
                        int row = map == NONE ? i : ints.get(map + i);
                        value = floats.get(
                                ints.get(s + A_BASE) + row * ints.get(s + A_ROW) + l * ints.get(s + A_DEPTH));
                    }
                    left[m] = value;
                    int j = firstColumn + m % TILE;
                    int k = l0 + m / TILE;
                    value = 0;
                    if (j < columns && k < depth) {
                        value = floats.get(
                                ints.get(s + B_BASE) + k * ints.get(s + B_DEPTH) + j * ints.get(s + B_COLUMN));
                    }
                    right[m] = value;
                }
                context.localBarrier();
                for (int l = 0; l < STEPS; l++) {
                    float upper = left[y * STEPS + l];
                    float lower = left[(y + THREADS) * STEPS + l];
                    float first = right[l * TILE + x];
                    float second = right[l * TILE + x + THREADS];
                    upperLeft += upper * first;
                    upperRight += upper * second;
                    lowerLeft += lower * first;
                    lowerRight += lower * second;
                }
                context.localBarrier();
            }
        }
        int i = firstRow + y;
        int j = firstColumn + x;
        store(words, ints, floats, g, i, j, upperLeft);
        store(words, ints, floats, g, i, j + THREADS, upperRight);
        store(words, ints, floats, g, i + THREADS, j, lowerLeft);
        store(words, ints, floats, g, i + THREADS, j + THREADS, lowerRight);
    }

    /** Scales the sum, adds the bias, and stores it where it lies inside the result. */
    private static void store(IntArray words, IntArray ints, FloatArray floats, int g, int i, int j, float value) {
        if (i < ints.get(g + ROWS) && j < ints.get(g + COLUMNS)) {
            int scale = ints.get(g + ROW_SCALE);
            int bias = ints.get(g + BIAS);
            float sum = scale == NONE ? value : value * floats.get(scale + i);
            sum = bias == NONE ? sum : sum + floats.get(bias + j);
            int c = ints.get(g + C_BASE) + i * ints.get(g + C_ROW) + j * ints.get(g + C_COLUMN);
            floats.set(c, words.get(5) == 0 ? sum : floats.get(c) + sum);
        }
    }

    /**
     * A grouped product whose steps are numbered and weighted, added to the result.
     *
     * @param context which thread this is
     * @param words as for {@link #product}
     * @param constants unused
     * @param ints the tables
     * @param floats the matrices
     */
    public static void outer(
            KernelContext context, IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        float[] left = context.allocateFloatLocalArray(STAGED);
        float[] right = context.allocateFloatLocalArray(STAGED);
        int x = context.localIdx;
        int y = context.localIdy;
        int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_TILE, context.groupIdy);
        int firstRow = (context.groupIdy - ints.get(g + FIRST_TILE)) * TILE;
        int firstColumn = context.groupIdx * TILE;
        int rows = ints.get(g + ROWS);
        int columns = ints.get(g + COLUMNS);
        int s = words.get(4) + ints.get(g + FIRST_SEGMENT) * SEGMENT_WORDS;
        int depth = ints.get(s + DEPTH);
        int aMap = ints.get(s + A_MAP);
        int bMap = ints.get(s + B_MAP);
        int scale = ints.get(s + DEPTH_SCALE);
        float upperLeft = 0;
        float upperRight = 0;
        float lowerLeft = 0;
        float lowerRight = 0;
        for (int l0 = 0; l0 < depth; l0 += STEPS) {
            for (int m = y * THREADS + x; m < STAGED; m += THREADS * THREADS) {
                int l = l0 + m / TILE;
                int i = firstRow + m % TILE;
                int j = firstColumn + m % TILE;
                float value = 0;
                if (i < rows && l < depth) {
                    int step = aMap == NONE ? l : ints.get(aMap + l);
                    value = floats.get(ints.get(s + A_BASE) + i * ints.get(s + A_ROW) + step * ints.get(s + A_DEPTH));
                    value = scale == NONE ? value : value * floats.get(scale + l);
                }
                left[m] = value;
                value = 0;
                if (j < columns && l < depth) {
                    int step = bMap == NONE ? l : ints.get(bMap + l);
                    value = floats.get(
                            ints.get(s + B_BASE) + step * ints.get(s + B_DEPTH) + j * ints.get(s + B_COLUMN));
                }
                right[m] = value;
            }
            context.localBarrier();
            for (int l = 0; l < STEPS; l++) {
                float upper = left[l * TILE + y];
                float lower = left[l * TILE + y + THREADS];
                float first = right[l * TILE + x];
                float second = right[l * TILE + x + THREADS];
                upperLeft += upper * first;
                upperRight += upper * second;
                lowerLeft += lower * first;
                lowerRight += lower * second;
            }
            context.localBarrier();
        }
        if (depth > 0) {
            int i = firstRow + y;
            int j = firstColumn + x;
            add(ints, floats, g, i, j, upperLeft);
            add(ints, floats, g, i, j + THREADS, upperRight);
            add(ints, floats, g, i + THREADS, j, lowerLeft);
            add(ints, floats, g, i + THREADS, j + THREADS, lowerRight);
        }
    }

    private static void add(IntArray ints, FloatArray floats, int g, int i, int j, float sum) {
        if (i < ints.get(g + ROWS) && j < ints.get(g + COLUMNS)) {
            int c = ints.get(g + C_BASE) + i * ints.get(g + C_ROW) + j * ints.get(g + C_COLUMN);
            floats.set(c, floats.get(c) + sum);
        }
    }
}
