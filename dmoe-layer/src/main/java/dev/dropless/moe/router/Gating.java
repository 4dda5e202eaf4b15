package dev.dropless.moe.router;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * From router logits z to gate logits g and scores: capping g = c * tanh(z / c) if c is above 0, then in training noise
 * g += n * softplus(noise logits) with n standard normal if asked for, then the score function of g.
 *
 * @param function what makes scores of gate logits
 * @param softCap c, in the unit of the logits; 0 for none (Laguna's {@code moe_router_logit_softcapping})
 * @param noisy whether noise is added in training (Shazeer et al. 2017, arXiv 1701.06538, equation 4)
 */
public record Gating(ScoreFunction function, double softCap, boolean noisy) {

    /** Softmax without capping or noise. */
    public static final Gating SOFTMAX = of(ScoreFunction.SOFTMAX);

    /**
     * Checks the cap.
     *
     * @throws IllegalArgumentException if the cap is negative, infinite or NaN
     */
    public Gating {
        Arguments.notNegative("softCap", softCap);
    }

    /**
     * A score function without capping or noise.
     *
     * @param function the score function
     * @return the gating
     */
    public static Gating of(ScoreFunction function) {
        return new Gating(function, 0, false);
    }

    /** The standard normal draws this gating needs, [T, E], or null. */
    double @Nullable [] noiseDraws(RouterInput input) {
        if (!noisy || !input.training()) {
            return null;
        }
        if (input.noiseLogits() == null) {
            throw Arguments.mismatch("noiseLogits", "tokens x numExperts values for noisy gating", "none");
        }
        return input.noise().draw(RouterNoise.Draw.LOGIT_GAUSSIAN, input.logits().length);
    }

    /** Gate logits; the input's own array if nothing changes them. */
    double[] gateLogits(RouterInput input, double @Nullable [] draws) {
        double[] logits = input.logits();
        double[] noise = input.noiseLogits();
        if (softCap == 0 && draws == null) {
            return logits;
        }
        double[] gate = Arrays.copyOf(logits, logits.length);
        if (softCap > 0) {
            for (int i = 0; i < gate.length; i++) {
                gate[i] = softCap * Math.tanh(gate[i] / softCap);
            }
        }
        if (draws != null && noise != null) {
            for (int i = 0; i < gate.length; i++) {
                gate[i] += draws[i] * ScoreFunction.softplus(noise[i]);
            }
        }
        return gate;
    }

    double[] scores(double[] gateLogits, int tokens, int numExperts) {
        var scores = new double[gateLogits.length];
        for (int token = 0; token < tokens; token++) {
            function.forward(gateLogits, scores, token * numExperts, numExperts);
        }
        return scores;
    }

    /** Adds the gradient that {@code count} gate logits, from their beginning on, give the logits from {@code offset} on. */
    void gateBackward(double[] logits, double[] dGate, double[] dLogits, int offset, int count) {
        for (int i = 0; i < count; i++) {
            double slope = 1;
            if (softCap > 0) {
                double tanh = Math.tanh(logits[offset + i] / softCap);
                slope = 1 - tanh * tanh;
            }
            dLogits[offset + i] += dGate[i] * slope;
        }
    }
}
