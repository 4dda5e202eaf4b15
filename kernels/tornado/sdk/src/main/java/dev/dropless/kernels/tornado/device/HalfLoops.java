package dev.dropless.kernels.tornado.device;

import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/** Copies of 16-bit floats, one thread for each element. */
public final class HalfLoops {

    private HalfLoops() {}

    /**
     * Staged 16-bit floats into a matrix.
     *
     * @param words count, number of the first element, columns, base, row stride
     * @param staging what to copy
     * @param halves the matrices
     */
    public static void scatter(IntArray words, ShortArray staging, ShortArray halves) {
        for (@Parallel int n = 0; n < words.get(0); n++) {
            int element = words.get(1) + n;
            int row = element / words.get(2);
            halves.set(words.get(3) + row * words.get(4) + (element - row * words.get(2)), staging.get(n));
        }
    }

    /**
     * A matrix of 16-bit floats as floats.
     *
     * @param words rows, columns, base and row stride of the source and of the target, 1 for binary16 or 0 for bfloat16
     * @param constants infinity, NaN
     * @param halves the source
     * @param floats the target
     */
    public static void widen(IntArray words, FloatArray constants, ShortArray halves, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                int bits = halves.get(words.get(2) + i * words.get(3) + j);
                float value = HalfMath.decode(bits, words.get(6), constants.get(0), constants.get(1));
                floats.set(words.get(4) + i * words.get(5) + j, value);
            }
        }
    }

    /**
     * A matrix of floats rounded to 16-bit floats.
     *
     * @param words rows, columns, base and row stride of the source and of the target, 1 for binary16 or 0 for bfloat16
     * @param constants infinity
     * @param halves the target
     * @param floats the source
     */
    public static void narrow(IntArray words, FloatArray constants, ShortArray halves, FloatArray floats) {
        for (@Parallel int i = 0; i < words.get(0); i++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                float value = floats.get(words.get(2) + i * words.get(3) + j);
                int bits = HalfMath.encode(value, words.get(6), constants.get(0));
                halves.set(words.get(4) + i * words.get(5) + j, (short) bits);
            }
        }
    }
}
