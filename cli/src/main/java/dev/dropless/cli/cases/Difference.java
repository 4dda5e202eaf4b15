package dev.dropless.cli.cases;

/**
 * How far two tensors are apart.
 *
 * @param relative ||a - b|| / ||b|| in the 2-norm; 0 where both are zero, infinite where only b is; NaN if either has NaN
 * @param maximum largest |a - b|; NaN if either has NaN
 */
public record Difference(double relative, double maximum) {

    /**
     * Compares.
     *
     * @param a what was computed
     * @param b what it should be, as long as a
     * @return the difference
     */
    public static Difference of(double[] a, double[] b) {
        double difference = 0;
        double norm = 0;
        double maximum = 0;
        for (int i = 0; i < a.length; i++) {
            double d = a[i] == b[i] ? 0 : a[i] - b[i]; // equal infinities do not differ
            difference += d * d;
            norm += b[i] * b[i];
            maximum = Math.max(maximum, Math.abs(d));
        }
        return new Difference(difference == 0 ? 0 : Math.sqrt(difference / norm), maximum);
    }
}
