package dev.dropless.kernels.tornado.device;

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
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_SEGMENT;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_MAP;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_SCALE;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENTS;
import static dev.dropless.kernels.tornado.engine.Tables.SEGMENT_WORDS;

import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Grouped products with one thread for each element of the result. */
public final class ProductLoops {

    private ProductLoops() {}

    /**
     * A grouped product; the steps of the summation are neither numbered nor weighted.
     *
     * @param words rows of all groups, columns of the widest group, groups, where their records begin, where the
     *     segments' begin, 1 to add to the result
     * @param constants unused
     * @param ints the tables
     * @param floats the matrices
     */
    public static void product(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int r = 0; r < words.get(0); r++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_ROW, r);
                if (j < ints.get(g + COLUMNS)) {
                    int i = r - ints.get(g + FIRST_ROW);
                    int row = ints.get(g + ROW_MAP) == NONE ? i : ints.get(ints.get(g + ROW_MAP) + i);
                    float sum = 0;
                    for (int n = 0; n < ints.get(g + SEGMENTS); n++) {
                        int s = words.get(4) + (ints.get(g + FIRST_SEGMENT) + n) * SEGMENT_WORDS;
                        int a = ints.get(s + A_BASE) + row * ints.get(s + A_ROW);
                        int b = ints.get(s + B_BASE) + j * ints.get(s + B_COLUMN);
                        int aStep = ints.get(s + A_DEPTH);
                        int bStep = ints.get(s + B_DEPTH);
                        int depth = ints.get(s + DEPTH);
                        for (int l = 0; l < depth; l++) {
                            sum += floats.get(a + l * aStep) * floats.get(b + l * bStep);
                        }
                    }
                    sum = ints.get(g + ROW_SCALE) == NONE ? sum : sum * floats.get(ints.get(g + ROW_SCALE) + i);
                    sum = ints.get(g + BIAS) == NONE ? sum : sum + floats.get(ints.get(g + BIAS) + j);
                    int c = ints.get(g + C_BASE) + i * ints.get(g + C_ROW) + j * ints.get(g + C_COLUMN);
                    floats.set(c, words.get(5) == 0 ? sum : floats.get(c) + sum);
                }
            }
        }
    }

    /**
     * A grouped product whose steps are numbered and weighted: sums of outer products of rows, which weight gradients
     * are. Always added to the result.
     *
     * @param words as for {@link #product}
     * @param constants unused
     * @param ints the tables
     * @param floats the matrices
     */
    public static void outer(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int r = 0; r < words.get(0); r++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_ROW, r);
                int i = r - ints.get(g + FIRST_ROW);
                int s = words.get(4) + ints.get(g + FIRST_SEGMENT) * SEGMENT_WORDS;
                int a = ints.get(s + A_BASE) + i * ints.get(s + A_ROW);
                int b = ints.get(s + B_BASE) + j * ints.get(s + B_COLUMN);
                int aStep = ints.get(s + A_DEPTH);
                int bStep = ints.get(s + B_DEPTH);
                int aMap = ints.get(s + A_MAP);
                int bMap = ints.get(s + B_MAP);
                int scale = ints.get(s + DEPTH_SCALE);
                int depth = ints.get(s + DEPTH);
                float sum = 0;
                for (int l = 0; l < depth; l++) {
                    int la = aMap == NONE ? l : ints.get(aMap + l);
                    int lb = bMap == NONE ? l : ints.get(bMap + l);
                    float left = floats.get(a + la * aStep);
                    left = scale == NONE ? left : left * floats.get(scale + l);
                    sum += left * floats.get(b + lb * bStep);
                }
                if (depth > 0) {
                    int c = ints.get(g + C_BASE) + i * ints.get(g + C_ROW) + j * ints.get(g + C_COLUMN);
                    floats.set(c, floats.get(c) + sum);
                }
            }
        }
    }

    /**
     * Up-projection and activation. The groups are those of the product that gives the gate's pre-activations; those of
     * up lie beside them.
     *
     * @param words as for {@link #product}, instead of the flag a constant 0, then: distance from a gate's column to its
     *     up column in weights, bias and result, 0 where not gated; where the pre-activations' row 0 begins, or NONE;
     *     their row stride; where the activations' row 0 begins; their row stride; the function
     * @param constants alpha, gateMax, upLimit, upOffset
     * @param ints the tables
     * @param floats the matrices
     */
    public static void up(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int r = 0; r < words.get(0); r++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int g = GroupSearch.recordOf(ints, words.get(3), words.get(2), FIRST_ROW, r);
                int i = r - ints.get(g + FIRST_ROW);
                int row = ints.get(g + ROW_MAP) == NONE ? i : ints.get(ints.get(g + ROW_MAP) + i);
                int s = words.get(4) + ints.get(g + FIRST_SEGMENT) * SEGMENT_WORDS;
                int a = ints.get(s + A_BASE) + row * ints.get(s + A_ROW);
                int b = ints.get(s + B_BASE) + j;
                int bStep = ints.get(s + B_DEPTH);
                int depth = ints.get(s + DEPTH);
                int other = words.get(6);
                float gate = 0;
                float up = 0;
                for (int l = 0; l < depth; l++) {
                    float x = floats.get(a + l);
                    gate += x * floats.get(b + l * bStep);
                    up += x * floats.get(b + l * bStep + other);
                }
                Epilogue.store(words, constants, ints, floats, g, i, j, gate, up);
            }
        }
    }
}
