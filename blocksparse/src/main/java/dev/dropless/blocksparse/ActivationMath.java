package dev.dropless.blocksparse;

/**
 * Activations and their derivatives for single values, in double precision. The reference computes with it, and so may
 * any back end where speed does
 * not matter. With f the function, a the gate and b the up pre-activation:
 * <pre>
 *   plain:  h = f(min(a, gateMax))
 *   gated:  h = f(min(a, gateMax)) * (clamp(b, -upLimit, upLimit) + upOffset)
 * </pre>
 *
 * <p>Methods are pure. A limit itself still lies inside: only beyond it is the gradient zero.
 */
public final class ActivationMath {

    private static final double SQRT_HALF = Math.sqrt(0.5);
    private static final double INV_SQRT_PI = 1 / Math.sqrt(Math.PI);
    private static final double SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
    private static final double CUBIC = 0.044715;

    /** Below this |x| erf is summed as a series; above it erfc is the better conditioned of the two. */
    private static final double SERIES_LIMIT = 0.5;
    /** Step of the trapezoidal rule for erfc; its error is of order exp(-(pi/STEP)^2) = 7e-18. */
    private static final double STEP = 0.5;
    /**
     * From here on the residue of the pole at +-ix is below the last bit of erfc, and beyond pi/STEP the path no longer
     * crosses it.
     */
    private static final double POLE_LIMIT = 6;

    private ActivationMath() {}

    /**
     * Hidden value of an expert that is not gated.
     *
     * @param activation which
     * @param a pre-activation
     * @return f(min(a, gateMax))
     */
    public static double hidden(Activation activation, double a) {
        return f(activation, Math.min(a, activation.gateMax()));
    }

    /**
     * Derivative of {@link #hidden(Activation, double)}.
     *
     * @param activation which
     * @param a pre-activation
     * @return dh/da, 0 above gateMax
     */
    public static double dHidden(Activation activation, double a) {
        return a > activation.gateMax() ? 0 : df(activation, a);
    }

    /**
     * Hidden value of a gated expert.
     *
     * @param activation which
     * @param a gate pre-activation
     * @param b up pre-activation
     * @return f(min(a, gateMax)) * (clamp(b, -upLimit, upLimit) + upOffset)
     */
    public static double hidden(Activation activation, double a, double b) {
        return hidden(activation, a) * up(activation, b);
    }

    /**
     * Derivative of {@link #hidden(Activation, double, double)} by the gate.
     *
     * @param activation which
     * @param a gate pre-activation
     * @param b up pre-activation
     * @return dh/da, 0 where a is above gateMax
     */
    public static double dGate(Activation activation, double a, double b) {
        return dHidden(activation, a) * up(activation, b);
    }

    /**
     * Derivative of {@link #hidden(Activation, double, double)} by the up pre-activation.
     *
     * @param activation which
     * @param a gate pre-activation
     * @param b up pre-activation
     * @return dh/db, 0 where |b| is above upLimit
     */
    public static double dUp(Activation activation, double a, double b) {
        return Math.abs(b) > activation.upLimit() ? 0 : hidden(activation, a);
    }

    private static double up(Activation activation, double b) {
        return Math.max(-activation.upLimit(), Math.min(b, activation.upLimit())) + activation.upOffset();
    }

    private static double f(Activation activation, double a) {
        return switch (activation.function()) {
            case IDENTITY -> a;
            case RELU -> Math.max(a, 0);
            case RELU_SQUARED -> Math.max(a, 0) * Math.max(a, 0);
            case SILU -> a * sigmoid(activation.alpha() * a);
            case GELU_TANH ->
                a * sigmoid(2 * geluInner(a)); // 1 + tanh u = 2 sigmoid(2u), which does not cancel for u << 0
            case GELU_ERF -> a * normalCdf(a);
        };
    }

    private static double df(Activation activation, double a) {
        return switch (activation.function()) {
            case IDENTITY -> 1;
            case RELU -> a > 0 ? 1 : 0;
            case RELU_SQUARED -> 2 * Math.max(a, 0);
            case SILU -> {
                double u = activation.alpha() * a;
                yield sigmoid(u) + u * dSigmoid(u);
            }
            case GELU_TANH -> {
                double u = 2 * geluInner(a);
                double du = 2 * SQRT_2_OVER_PI * (1 + 3 * CUBIC * a * a);
                double slope = dSigmoid(u);
                yield slope == 0 ? sigmoid(u) : sigmoid(u) + a * slope * du; // 0 * infinity for huge a
            }
            case GELU_ERF -> {
                double density = SQRT_HALF * INV_SQRT_PI * expMinusSquare(a * SQRT_HALF);
                yield density == 0 ? normalCdf(a) : normalCdf(a) + a * density;
            }
        };
    }

    private static double sigmoid(double u) {
        return 1 / (1 + Math.exp(-u));
    }

    /** sigmoid'(u) = sigmoid(u) sigmoid(-u). */
    private static double dSigmoid(double u) {
        return sigmoid(u) * sigmoid(-u);
    }

    private static double geluInner(double a) {
        return SQRT_2_OVER_PI * (a + CUBIC * a * a * a);
    }

    private static double normalCdf(double a) {
        return 0.5 * erfc(-a * SQRT_HALF);
    }

    /**
     * Error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x, to a few units in the last place.
     *
     * @param x any number
     * @return erf(x), in -1..1; NaN for NaN
     */
    public static double erf(double x) {
        if (Math.abs(x) < SERIES_LIMIT) {
            return erfSeries(x);
        }
        return x > 0 ? 1 - erfcPositive(x) : erfcPositive(-x) - 1;
    }

    /**
     * Complementary error function 1 - erf(x), to a few units in the last place of the result also where it is tiny.
     *
     * @param x any number
     * @return erfc(x), in 0..2; NaN for NaN
     */
    public static double erfc(double x) {
        if (Math.abs(x) < SERIES_LIMIT) {
            return 1 - erfSeries(x);
        }
        return x > 0 ? erfcPositive(x) : 2 - erfcPositive(-x);
    }

    /**
     * erf(x) = 2/sqrt(pi) exp(-x^2) sum over n of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)); all terms have one sign
     * (NIST Digital Library of Mathematical Functions, 7.6.2).
     */
    private static double erfSeries(double x) {
        double term = x;
        double sum = x;
        for (int n = 1; Math.abs(term) > 0x1p-60 * Math.abs(sum); n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 * INV_SQRT_PI * expMinusSquare(x) * sum;
    }

    /**
     * erfc(x) for x >= 0.5 from the integral pi/x exp(x^2) erfc(x) = integral of exp(-t^2) / (t^2 + x^2) over the real
     * line
     * (DLMF 7.7.1), by the trapezoidal rule, whose error is the residue of the pole at ix and nothing else that a
     * double can hold
     * (Chiarella and Reichel, On the evaluation of integrals related to the error function, Math. Comp. 22, 1968):
     * <pre>
     *   erfc(x) = STEP x/pi exp(-x^2) (1/x^2 + 2 sum over n >= 1 of exp(-(n STEP)^2) / ((n STEP)^2 + x^2))
     *             - 2 / (exp(2 pi x / STEP) - 1)
     * </pre>
     */
    private static double erfcPositive(double x) {
        if (Double.isNaN(x) || x > 28) { // exp(-28^2) is below the smallest double
            return Double.isNaN(x) ? x : 0;
        }
        double sum = 0;
        for (int n = 13; n >= 1; n--) { // exp(-(13 STEP)^2) = 4e-19; smallest first
            double t2 = n * STEP * (n * STEP);
            sum += Math.exp(-t2) / (t2 + x * x);
        }
        double rule = STEP * x / Math.PI * expMinusSquare(x) * (1 / (x * x) + 2 * sum);
        return x < POLE_LIMIT ? rule - 2 / Math.expm1(2 * Math.PI * x / STEP) : rule;
    }

    /** exp(-x^2) without the error of rounding x^2, which the exponential would magnify. */
    private static double expMinusSquare(double x) {
        double square = x * x;
        double value = Math.exp(-square);
        return value == 0 || Double.isNaN(value) ? value : value - value * Math.fma(x, x, -square);
    }
}
