package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.BLOCK_WORDS;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;

import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/** Copies and elementwise work, one thread for each element. */
public final class ElementLoops {

    private ElementLoops() {}

    /**
     * Reads and writes all arrays, so that they are put on the device with their content. Element 0 of each belongs to
     * nobody.
     *
     * @param words 1
     * @param ints the ints
     * @param floats the matrices
     * @param halves the bits of matrices of 16-bit floats
     */
    public static void settle(IntArray words, IntArray ints, FloatArray floats, ShortArray halves) {
        for (@Parallel int n = 0; n < words.get(0); n++) {
            ints.set(n, ints.get(n) + 1);
            floats.set(n, floats.get(n) + 1);
            halves.set(n, (short) (halves.get(n) + 1));
        }
    }

    /**
     * Staged floats into a matrix.
     *
     * @param words count, number of the first element, columns, base, row stride
     * @param staging what to copy
     * @param floats the matrices
     */
    public static void scatter(IntArray words, FloatArray staging, FloatArray floats) {
        for (@Parallel int n = 0; n < words.get(0); n++) {
            int element = words.get(1) + n;
            int row = element / words.get(2);
            floats.set(words.get(3) + row * words.get(4) + (element - row * words.get(2)), staging.get(n));
        }
    }

    /**
     * Staged ints.
     *
     * @param words count, base
     * @param staging what to copy
     * @param ints the ints
     */
    public static void scatterInts(IntArray words, IntArray staging, IntArray ints) {
        for (@Parallel int n = 0; n < words.get(0); n++) {
            ints.set(words.get(1) + n, staging.get(n));
        }
    }

    /**
     * A copy of a matrix.
     *
     * @param words rows, columns, base and row stride of the source and of the target
     * @param constants unused
     * @param ints unused
     * @param floats the matrices
     */
    public static void copy(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                float value = floats.get(words.get(2) + i * words.get(3) + j);
                floats.set(words.get(4) + i * words.get(5) + j, value);
            }
        }
    }

    /**
     * One value everywhere.
     *
     * @param words rows, columns, base, row stride
     * @param constants the value
     * @param ints unused
     * @param floats the matrices
     */
    public static void fill(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                floats.set(words.get(2) + i * words.get(3) + j, constants.get(0));
            }
        }
    }

    /**
     * out (+)= a * b, element by element.
     *
     * @param words rows, columns, base and row stride of a, of b and of out, 1 to add to out
     * @param constants unused
     * @param ints unused
     * @param floats the matrices
     */
    public static void multiply(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                float a = floats.get(words.get(2) + i * words.get(3) + j);
                float product = a * floats.get(words.get(4) + i * words.get(5) + j);
                int out = words.get(6) + i * words.get(7) + j;
                floats.set(out, words.get(8) == 0 ? product : floats.get(out) + product);
            }
        }
    }

    /**
     * gate[t] = factor * sigmoid(s[t]).
     *
     * @param words 1, rows, base and row stride of s and of the gate
     * @param constants the factor
     * @param ints unused
     * @param floats the columns
     */
    public static void sigmoidGate(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(1); t++) {
            float s = floats.get(words.get(2) + t * words.get(3));
            floats.set(words.get(4) + t * words.get(5), constants.get(0) * DeviceMath.sigmoid(s));
        }
    }

    /**
     * gradient[t] *= factor p (1 - p), with p = gate[t] / factor.
     *
     * @param words 1, rows, base and row stride of the gate and of the gradient
     * @param constants the factor
     * @param ints unused
     * @param floats the columns
     */
    public static void sigmoidGateGradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(1); t++) {
            float gate = floats.get(words.get(2) + t * words.get(3));
            int at = words.get(4) + t * words.get(5);
            floats.set(at, floats.get(at) * gate * (1 - gate / constants.get(0)));
        }
    }

    /**
     * Blocks to or from their places in a dense matrix.
     *
     * @param words blocks, elements of the largest block, where their records begin (base in the data, first row, first
     *     column, height, width), base of the data, base of the dense matrix, its row stride, 1 to copy to the dense
     *     matrix
     * @param constants unused
     * @param ints the records
     * @param floats the matrices
     */
    public static void copyBlocks(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int z = 0; z < words.get(0); z++) {
            for (@Parallel int n = 0; n < words.get(1); n++) {
                int block = words.get(2) + z * BLOCK_WORDS;
                int width = ints.get(block + 4);
                int i = n / width;
                if (i < ints.get(block + 3)) {
                    int j = n - i * width;
                    int stored = words.get(3) + ints.get(block) + n;
                    int dense = words.get(4) + (ints.get(block + 1) + i) * words.get(5) + ints.get(block + 2) + j;
                    if (words.get(6) == 1) {
                        floats.set(dense, floats.get(stored));
                    } else {
                        floats.set(stored, floats.get(dense));
                    }
                }
            }
        }
    }

    /**
     * Weights of slots [T, k] in the order of rows.
     *
     * @param words 1, rows, where the rows' slots begin, topK, base and row stride of the weights, base of the result
     * @param constants unused
     * @param ints the slots
     * @param floats the weights and the result
     */
    public static void gatherSlots(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int r = 0; r < words.get(1); r++) {
            int slot = ints.get(words.get(2) + r);
            int token = slot / words.get(3);
            int from = words.get(4) + token * words.get(5) + (slot - token * words.get(3));
            floats.set(words.get(6) + r, floats.get(from));
        }
    }

    /**
     * hidden = activation(pre).
     *
     * @param words rows, columns, base and row stride of pre, base and row stride of hidden, distance from gate to up
     *     columns or 0, the function
     * @param constants alpha, gateMax, upLimit, upOffset
     * @param ints unused
     * @param floats the matrices
     */
    public static void activate(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int pre = words.get(2) + i * words.get(3) + j;
                int other = words.get(6);
                float gate = DeviceMath.min(floats.get(pre), constants.get(1));
                float hidden = DeviceMath.value(words.get(7), constants.get(0), gate);
                hidden = other == 0
                        ? hidden
                        : hidden * DeviceMath.clamped(floats.get(pre + other), constants.get(2), constants.get(3));
                floats.set(words.get(4) + i * words.get(5) + j, hidden);
            }
        }
    }

    /**
     * Backward of {@link #activate}: dPre = scale(row) g activation'(pre). On the way hidden may be computed anew, and g
     * replaced by hidden g, whose sum over a row is the gradient of its weight.
     *
     * @param words rows, columns, base and row stride of pre, base and row stride of g, base and row stride of dPre,
     *     distance from gate to up columns or 0, the function, where the rows' factors begin or NONE, base and row
     *     stride of hidden (NONE: not needed), 1 to compute hidden, 1 to replace g
     * @param constants alpha, gateMax, upLimit, upOffset
     * @param ints unused
     * @param floats the matrices
     */
    public static void activationGradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int pre = words.get(2) + i * words.get(3) + j;
                int at = words.get(4) + i * words.get(5) + j;
                int target = words.get(6) + i * words.get(7) + j;
                int other = words.get(8);
                float a = floats.get(pre);
                float b = floats.get(pre + other);
                float limited = DeviceMath.min(a, constants.get(1));
                float value = DeviceMath.value(words.get(9), constants.get(0), limited);
                float factor = other == 0 ? 1 : DeviceMath.clamped(b, constants.get(2), constants.get(3));
                float g = floats.get(at);
                if (words.get(11) != NONE) {
                    int hidden = words.get(11) + i * words.get(12) + j;
                    if (words.get(13) == 1) {
                        floats.set(hidden, value * factor);
                    }
                    if (words.get(14) == 1) {
                        floats.set(at, floats.get(hidden) * g);
                    }
                }
                g = words.get(10) == NONE ? g : g * floats.get(words.get(10) + i);
                float slope = a > constants.get(1) ? 0 : DeviceMath.slope(words.get(9), constants.get(0), a);
                floats.set(target, other == 0 ? g * slope : g * (slope * factor));
                if (other != 0) {
                    float size = b < 0 ? -b : b;
                    floats.set(target + other, size > constants.get(2) ? g * 0 : g * value);
                }
            }
        }
    }
}
