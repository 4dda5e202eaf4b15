package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Kernel.THREADS;
import static dev.dropless.kernels.tornado.engine.Kernel.TILE;
import static dev.dropless.kernels.tornado.engine.Tables.A_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.A_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.B_BASE;
import static dev.dropless.kernels.tornado.engine.Tables.B_DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.COLUMNS;
import static dev.dropless.kernels.tornado.engine.Tables.DEPTH;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_SEGMENT;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_TILE;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;
import static dev.dropless.kernels.tornado.engine.Tables.ROWS;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENT_WORDS;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** The up-projection with its activation on the tile that was just computed; for the layout see {@link ProductTiles}. */
public final class UpTiles {

    private static final int STEPS = ProductTiles.STEPS;
    private static final int STAGED = TILE * STEPS;
    private static final int HALF = TILE / 2;
    private static final int STAGED_HALF = HALF * STEPS;

    private UpTiles() {}

    /**
     * Up-projection and activation. A group of threads computes {@code TILE} rows of {@code TILE / 2} columns of gate, and
     * of up where gated.
     *
     * @param context which thread this is; its groups count half tiles of columns and tiles of rows
     * @param words as for {@link ProductLoops#up}, tiles of rows instead of rows
     * @param constants alpha, gateMax, upLimit, upOffset
     * @param ints the tables
     * @param floats the matrices
     */
    public static void up(
            KernelContext context, IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        float[] left = context.allocateFloatLocalArray(STAGED);
        float[] gates = context.allocateFloatLocalArray(STAGED_HALF);
        float[] ups = context.allocateFloatLocalArray(STAGED_HALF);
        int x = context.localIdx;
        int y = context.localIdy;
        int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_TILE, context.groupIdy);
        int firstRow = (context.groupIdy - ints.get(g + FIRST_TILE)) * TILE;
        int firstColumn = context.groupIdx * HALF;
        int rows = ints.get(g + ROWS);
        int columns = ints.get(g + COLUMNS);
        int map = ints.get(g + ROW_MAP);
        int other = words.get(6);
        int s = words.get(4) + ints.get(g + FIRST_SEGMENT) * SEGMENT_WORDS;
        int depth = ints.get(s + DEPTH);
        float upperGate = 0;
        float upperUp = 0;
        float lowerGate = 0;
        float lowerUp = 0;
        for (int l0 = 0; l0 < depth; l0 += STEPS) {
            for (int m = y * THREADS + x; m < STAGED; m += THREADS * THREADS) {
                int i = firstRow + m / STEPS;
                int l = l0 + m % STEPS;
                float value = 0;
                if (i < rows && l < depth) {
                    int row = map == NONE ? i : ints.get(map + i);
                    value = floats.get(ints.get(s + A_BASE) + row * ints.get(s + A_ROW) + l);
                }
                left[m] = value;
            }
            int j = firstColumn + x;
            int k = l0 + y;
            float gate = 0;
            float up = 0;
            if (j < columns && k < depth) {
                int b = ints.get(s + B_BASE) + k * ints.get(s + B_DEPTH) + j;
                gate = floats.get(b);
                up = floats.get(b + other);
            }
            gates[y * HALF + x] = gate;
            ups[y * HALF + x] = up;
            context.localBarrier();
            for (int l = 0; l < STEPS; l++) {
                float upper = left[y * STEPS + l];
                float lower = left[(y + THREADS) * STEPS + l];
                upperGate += upper * gates[l * HALF + x];
                upperUp += upper * ups[l * HALF + x];
                lowerGate += lower * gates[l * HALF + x];
                lowerUp += lower * ups[l * HALF + x];
            }
            context.localBarrier();
        }
        store(words, constants, ints, floats, g, firstRow + y, firstColumn + x, upperGate, upperUp);
        store(words, constants, ints, floats, g, firstRow + y + THREADS, firstColumn + x, lowerGate, lowerUp);
    }

    private static void store(
            IntArray words,
            FloatArray constants,
            IntArray ints,
            FloatArray floats,
            int g,
            int i,
            int j,
            float gateSum,
            float upSum) {
        if (i < ints.get(g + ROWS) && j < ints.get(g + COLUMNS)) {
            Epilogue.store(words, constants, ints, floats, g, i, j, gateSum, upSum);
        }
    }
}
