package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.NONE;

import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Sums over the rows of a token or of an expert, in a fixed order. */
public final class RowLoops {

    private RowLoops() {}

    /**
     * y[t] (+)= sum over j of w[t, j] rows[row(t, j)].
     *
     * @param words tokens, columns, topK, where the slots' rows begin, base and row stride of the rows, base (or NONE)
     *     and row stride of the weights, base and row stride of y, 1 to add to y
     * @param constants unused
     * @param ints the rows of slots
     * @param floats the matrices
     */
    public static void combine(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(0); t++) {
            for (@Parallel int h = 0; h < words.get(1); h++) {
                float sum = 0;
                for (int j = 0; j < words.get(2); j++) {
                    int row = ints.get(words.get(3) + t * words.get(2) + j);
                    if (row >= 0) {
                        float value = floats.get(words.get(4) + row * words.get(5) + h);
                        float weight = words.get(6) == NONE ? 1 : floats.get(words.get(6) + t * words.get(7) + j);
                        sum += weight * value;
                    }
                }
                int y = words.get(8) + t * words.get(9) + h;
                floats.set(y, words.get(10) == 0 ? sum : floats.get(y) + sum);
            }
        }
    }

    /**
     * result[s] = sum over c of part[row, c] + sum over c of left[token, c] right[row or expert, c]; 0 for a slot
     * without a row.
     *
     * @param words 1, slots, topK, where the slots' rows begin, base, row stride and columns of part (0: none), base, row
     *     stride and columns of left (0: none), base and row stride of right, where the rows' experts begin or NONE to
     *     take the row itself, base and row stride of the result
     * @param constants unused
     * @param ints the rows of slots, the experts of rows
     * @param floats the matrices
     */
    public static void slotGradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int s = 0; s < words.get(1); s++) {
            int token = s / words.get(2);
            int row = ints.get(words.get(3) + s);
            float sum = 0;
            if (row >= 0) {
                int part = words.get(4) + row * words.get(5);
                for (int c = 0; c < words.get(6); c++) {
                    sum += floats.get(part + c);
                }
                int left = words.get(7) + token * words.get(8);
                int of = words.get(12) == NONE ? row : ints.get(words.get(12) + row);
                int right = words.get(10) + of * words.get(11);
                for (int c = 0; c < words.get(9); c++) {
                    sum += floats.get(left + c) * floats.get(right + c);
                }
            }
            floats.set(words.get(13) + token * words.get(14) + (s - token * words.get(2)), sum);
        }
    }

    /**
     * gradient[e, c] += sum over the rows r of expert e of scale(r) source[map(r), c].
     *
     * @param words experts, columns, where the experts' first rows begin, base and row stride of the source, where the
     *     rows' numbers in it begin or NONE, where the rows' factors begin or NONE, base of the gradient [E, columns]
     * @param constants unused
     * @param ints first rows and numbers
     * @param floats the matrices
     */
    public static void biasGradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int e = 0; e < words.get(0); e++) {
            for (@Parallel int c = 0; c < words.get(1); c++) {
                int first = ints.get(words.get(2) + e);
                int end = ints.get(words.get(2) + e + 1);
                float sum = 0;
                for (int r = first; r < end; r++) {
                    int from = words.get(5) == NONE ? r : ints.get(words.get(5) + r);
                    float value = floats.get(words.get(3) + from * words.get(4) + c);
                    sum += words.get(6) == NONE ? value : value * floats.get(words.get(6) + r);
                }
                if (end > first) {
                    int at = words.get(7) + e * words.get(1) + c;
                    floats.set(at, floats.get(at) + sum);
                }
            }
        }
    }
}
