package dev.dropless.moe.loss;

/** The squared coefficient of variation, population variance / mean^2, with its gradient. */
final class SquaredVariation {

    private SquaredVariation() {}

    /**
     * Computes weight * CV^2.
     *
     * @param values [E]
     * @param gradient written, [E]
     * @return the value; 0, with gradient 0, if the mean is 0
     */
    static double evaluate(double[] values, double weight, double[] gradient) {
        int count = values.length;
        double mean = 0;
        for (double value : values) {
            mean += value / count;
        }
        if (mean == 0) {
            return 0;
        }
        double variance = 0;
        for (double value : values) {
            variance += (value - mean) * (value - mean) / count;
        }
        for (int i = 0; i < count; i++) {
            gradient[i] = weight * 2 / (count * mean * mean) * (values[i] - mean - variance / mean);
        }
        return weight * variance / (mean * mean);
    }
}
