package dev.dropless.moe.loss;

/** The standard normal distribution. */
final class NormalDistribution {

    /** Beyond this many standard deviations the distribution function is 0 or 1 to double precision. */
    private static final double FAR = 9;

    private NormalDistribution() {}

    static double density(double u) {
        return Math.exp(-0.5 * u * u) / Math.sqrt(2 * Math.PI);
    }

    /**
     * The distribution function by its series 1/2 + density(u) * (u + u^3/3 + u^5/(3*5) + ...), whose terms all have
     * one sign (Marsaglia 2004, Journal of Statistical Software 11(4)). The absolute error is a few units of 1e-16.
     */
    static double cumulative(double u) {
        if (Double.isNaN(u)) {
            return u;
        }
        if (Math.abs(u) > FAR) {
            return u > 0 ? 1 : 0;
        }
        double term = u;
        double sum = 0;
        for (int odd = 3; sum + term != sum; odd += 2) {
            sum += term;
            term *= u * u / odd;
        }
        return 0.5 + density(u) * sum;
    }
}
