package dev.dropless.moe.router;

/**
 * The two-expert router of PhiMoE (SparseMixer-v2: Liu et al. 2024, arXiv 2409.12136). The first expert is the one with
 * the largest logit m; experts with (m - z) / max(|z|, m) above 2 * eps are masked; its weight is its softmax over the
 * rest, q. The second is found the same way with the first one left out, m being the largest of what remains. The two
 * weights are not normalised together.
 *
 * <p>In training an expert is sampled: argmax of z_masked - ln(exponential draw); its weight is q * f with f = 1 if it
 * is the one with the largest logit or its uniform draw is above 0.75, and f = 0.3333 otherwise.
 *
 * <p>Backward, in both modes: dz += dw * q_e * (onehot_e - q). The factor f has no part in it; that is the method's
 * estimator and the exact gradient where f = 1.
 */
public final class SparseMixerRouter implements Router {

    private static final double EXPLORED = 0.3333;
    private static final double EXPLORATION_THRESHOLD = 0.75;

    private final double maskWidth;

    /**
     * Makes a router.
     *
     * @param jitterEps eps, half the width of the mask ({@code router_jitter_noise})
     * @throws IllegalArgumentException if eps is negative or not finite
     */
    public SparseMixerRouter(double jitterEps) {
        this.maskWidth = 2 * Arguments.notNegative("jitterEps", jitterEps);
    }

    @Override
    public int topK() {
        return 2;
    }

    /**
     * Routes every token; training reads the four SparseMixer draws of the input's noise.
     *
     * @throws IllegalArgumentException if there are fewer than two experts
     */
    @Override
    public Routing route(RouterInput input) {
        Arguments.atLeast("numExperts", input.numExperts(), 2);
        var ids = new int[2 * input.tokens()];
        var weights = new double[ids.length];
        choose(input, 0, RouterNoise.Draw.FIRST_EXPONENTIAL, RouterNoise.Draw.FIRST_UNIFORM, ids, weights);
        choose(input, 1, RouterNoise.Draw.SECOND_EXPONENTIAL, RouterNoise.Draw.SECOND_UNIFORM, ids, weights);
        return Routing.of(input, 2, new Routing.Gated(Gating.SOFTMAX, input), new Routing.Choice(ids, ids), weights);
    }

    private void choose(
            RouterInput input,
            int rank,
            RouterNoise.Draw exponentialDraw,
            RouterNoise.Draw uniformDraw,
            int[] ids,
            double[] weights) {
        int experts = input.numExperts();
        boolean sampled = input.training();
        double[] exponential = sampled ? input.noise().draw(exponentialDraw, input.tokens() * experts) : new double[0];
        double[] uniform = sampled ? input.noise().draw(uniformDraw, input.tokens()) : new double[0];
        var masked = new double[experts];
        for (int token = 0; token < input.tokens(); token++) {
            int row = token * experts;
            int excluded = rank == 0 ? -1 : ids[2 * token];
            int best = mask(input.logits(), row, excluded, masked);
            int expert = sampled ? sample(masked, exponential, row, excluded) : best;
            ScoreFunction.softmax(masked, masked, 0, experts);
            boolean full = !sampled || expert == best || uniform[token] > EXPLORATION_THRESHOLD;
            ids[2 * token + rank] = expert;
            weights[2 * token + rank] = masked[expert] * (full ? 1 : EXPLORED);
        }
    }

    /** Fills in the logits that compete, minus infinity for the others, and returns the largest one's expert. */
    private int mask(double[] logits, int row, int excluded, double[] masked) {
        System.arraycopy(logits, row, masked, 0, masked.length);
        if (excluded >= 0) {
            masked[excluded] = Double.NEGATIVE_INFINITY;
        }
        int best = largest(masked, excluded);
        double max = masked[best];
        for (int e = 0; e < masked.length; e++) {
            double z = logits[row + e];
            if ((max - z) / Math.max(Math.abs(z), max) > maskWidth) {
                masked[e] = Double.NEGATIVE_INFINITY;
            }
        }
        return best;
    }

    private static int sample(double[] masked, double[] exponential, int row, int excluded) {
        var perturbed = new double[masked.length];
        for (int e = 0; e < masked.length; e++) {
            perturbed[e] = masked[e] - Math.log(exponential[row + e]);
        }
        return largest(perturbed, excluded);
    }

    /** The largest value's position, lowest on ties; never the excluded one. */
    private static int largest(double[] values, int excluded) {
        int best = excluded == 0 ? 1 : 0;
        for (int e = 0; e < values.length; e++) {
            if (e != excluded && TopKSelection.better(values[e], values[best])) {
                best = e;
            }
        }
        return best;
    }

    @Override
    public void backward(Routing routing, double[] dWeights, double[] dLogits) {
        Arguments.length("dWeights", dWeights.length, routing.weights().length, "tokens x topK");
        Arguments.length("dLogits", dLogits.length, routing.logits().length, "tokens x numExperts");
        if (routing.topK() != 2) {
            throw Arguments.mismatch("routing", "one with topK = 2", "topK = " + routing.topK());
        }
        int experts = routing.numExperts();
        var q = new double[experts];
        for (int slot = 0; slot < dWeights.length; slot++) {
            int row = slot / 2 * experts;
            int expert = routing.expertIds()[slot];
            mask(routing.logits(), row, slot % 2 == 0 ? -1 : routing.expertIds()[slot - 1], q);
            ScoreFunction.softmax(q, q, 0, experts);
            double scale = dWeights[slot] * q[expert];
            for (int e = 0; e < experts; e++) {
                dLogits[row + e] += scale * ((e == expert ? 1 : 0) - q[e]);
            }
        }
    }
}
