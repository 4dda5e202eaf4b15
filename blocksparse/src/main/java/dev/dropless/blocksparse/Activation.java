package dev.dropless.blocksparse;

/**
 * The non-linear part of an expert, every constant explicit.
 *
 * <p>With a the gate pre-activation (the only one, where the expert is not gated) and b the up pre-activation, an
 * expert's hidden value is
 * <pre>
 *   plain:  h = f(min(a, gateMax))
 *   gated:  h = f(min(a, gateMax)) * (clamp(b, -upLimit, upLimit) + upOffset)
 * </pre>
 * Values outside a limit have gradient zero. Families differ in these constants: GPT-OSS has {@code f = SILU, alpha =
 * 1.702, gateMax = 7, upLimit = 7,
 * upOffset = 1}.
 *
 * @param function f
 * @param alpha factor inside the sigmoid of {@link Function#SILU}; 1 elsewhere
 * @param gateMax upper limit of a, or positive infinity
 * @param upLimit limit of |b|, or positive infinity
 * @param upOffset added to b; 0 in most families
 */
public record Activation(Function function, double alpha, double gateMax, double upLimit, double upOffset) {

    /** The function f. */
    public enum Function {
        /** f(a) = a. */
        IDENTITY,
        /** f(a) = max(a, 0); derivative 0 at 0. */
        RELU,
        /** f(a) = max(a, 0)^2 (Primer, arXiv 2109.08668). */
        RELU_SQUARED,
        /** f(a) = a * sigmoid(alpha * a) (swish, arXiv 1702.03118). */
        SILU,
        /** f(a) = a/2 * (1 + tanh(sqrt(2/pi) * (a + 0.044715 a^3))) (arXiv 1606.08415, section 2). */
        GELU_TANH,
        /** f(a) = a/2 * (1 + erf(a / sqrt(2))) (arXiv 1606.08415). */
        GELU_ERF
    }

    /**
     * Checks the constants.
     *
     * @throws IllegalArgumentException if a constant is NaN or a limit is not positive, or alpha is given for a
     * function without it
     */
    public Activation {
        if (Double.isNaN(alpha) || Double.isInfinite(alpha) || (function != Function.SILU && alpha != 1)) {
            throw new IllegalArgumentException("alpha: expected a number, 1 unless f is SILU, found " + alpha);
        }
        if (!(gateMax > 0)) {
            throw new IllegalArgumentException("gateMax: expected above 0, found " + gateMax);
        }
        if (!(upLimit > 0)) {
            throw new IllegalArgumentException("upLimit: expected above 0, found " + upLimit);
        }
        if (Double.isNaN(upOffset) || Double.isInfinite(upOffset)) {
            throw new IllegalArgumentException("upOffset: expected a number, found " + upOffset);
        }
    }

    /**
     * The function alone: no limits, no offset, alpha 1.
     *
     * @param function f
     * @return the activation
     */
    public static Activation of(Function function) {
        return new Activation(function, 1, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, 0);
    }
}
