package dev.dropless.moe.router;

/**
 * Multiplicative jitter on what the router sees, in training: x * u elementwise with u uniform in [1 - eps, 1 + eps]
 * (Switch Transformers, arXiv 2101.03961, appendix on exploration across experts). Only the router's copy of x is
 * changed, and the gradient that comes back from the logits to x is multiplied by the same factors.
 */
public final class InputJitter {

    private InputJitter() {}

    /**
     * Draws the factors.
     *
     * @param noise source of numbers
     * @param count how many, T * H
     * @param eps half the width, 0 or more
     * @return a new array of {@code count} factors
     * @throws IllegalArgumentException if eps or count is negative, or eps is not finite
     */
    public static double[] factors(RouterNoise noise, int count, double eps) {
        Arguments.atLeast("count", count, 0);
        Arguments.notNegative("eps", eps);
        double[] factors = noise.draw(RouterNoise.Draw.INPUT_JITTER, count);
        for (int i = 0; i < count; i++) {
            factors[i] = 1 - eps + 2 * eps * factors[i];
        }
        return factors;
    }
}
