package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import java.util.Arrays;

/**
 * The arithmetic of {@link ExpertKernels#allocateInt8}, the same for every back end: every output column of a weight matrix becomes whole numbers q of
 * -127..127 and a scale s, so that a weight is q s. s is the column's largest magnitude / 127, rounded to binary32, and q is weight / s rounded to the
 * nearest, ties to even; so |weight - q s| is at most s / 2 but for the rounding of s, and weights that are such multiples already are kept exactly.
 */
public final class Int8Columns {

    /** The largest whole number. */
    public static final int LIMIT = 127;

    private Int8Columns() {}

    /**
     * Finds the scales of a weight matrix.
     *
     * @param source weights, [inputs, outputs] if {@code transpose} is N, else the other way round
     * @param transpose orientation
     * @param scales receives a number for each output, 0 for a column of zeros
     * @throws IllegalArgumentException if a weight is NaN or infinite, or beyond binary32
     */
    public static void scales(Matrix source, Transpose transpose, float[] scales) {
        Arrays.fill(scales, 0);
        double[] row = new double[Math.toIntExact(source.columns())];
        double[] largest = new double[scales.length];
        for (int i = 0; i < source.rows(); i++) {
            source.getRow(i, row);
            for (int j = 0; j < row.length; j++) {
                int output = transpose == Transpose.N ? j : i;
                if (!(Math.abs(row[j]) <= Float.MAX_VALUE)) {
                    throw new IllegalArgumentException(
                            "source: expected finite weights, found %s at (%d, %d)".formatted(row[j], i, j));
                }
                largest[output] = Math.max(largest[output], Math.abs(row[j]));
            }
        }
        for (int c = 0; c < scales.length; c++) {
            scales[c] = (float) (largest[c] / LIMIT);
        }
    }

    /**
     * Rounds a weight to a multiple of its column's scale.
     *
     * @param weight a weight
     * @param scale its column's
     * @return which multiple, -127..127; 0 where the scale is 0
     */
    public static byte quantize(double weight, float scale) {
        if (scale == 0) {
            return 0; // a column of zeros, or of numbers too small for a scale
        }
        return (byte) Math.clamp(Math.rint(weight / scale), -LIMIT, LIMIT);
    }
}
