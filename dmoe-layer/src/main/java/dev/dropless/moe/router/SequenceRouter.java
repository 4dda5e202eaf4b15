package dev.dropless.moe.router;

/**
 * Routes whole sequences: a sequence's logits are the mean of its tokens' logits (for a linear router, the logits of
 * the mean token), another router decides on them, and every token of the sequence gets that decision (the
 * sentence-level routing of Kudugunta et al. 2021, arXiv 2110.03742, section 3). Capacities, groups and noise of the
 * inner router count sequences.
 *
 * <p>{@link Routing#units} of the result is the decision itself. Not for causal decoders: the mean looks at later
 * tokens.
 */
public final class SequenceRouter implements Router {

    private final Router inner;

    /**
     * Makes a router.
     *
     * @param inner decides for sequences
     */
    public SequenceRouter(Router inner) {
        this.inner = inner;
    }

    @Override
    public int topK() {
        return inner.topK();
    }

    @Override
    public Routing route(RouterInput input) {
        return Routing.ofUnits(input, inner.route(pooled(input)));
    }

    private static RouterInput pooled(RouterInput input) {
        int experts = input.numExperts();
        int units = Routing.unitCount(input);
        var builder = RouterInput.builder(mean(input.logits(), units, input.sequence(), experts), units, experts)
                .shape(units, 1)
                .training(input.training())
                .noise(input.noise());
        double[] bias = input.selectionBias();
        if (bias != null) {
            builder.selectionBias(bias);
        }
        double[] noise = input.noiseLogits();
        if (noise != null) {
            builder.noiseLogits(mean(noise, units, input.sequence(), experts));
        }
        return builder.build();
    }

    private static double[] mean(double[] rows, int units, int length, int width) {
        double[] mean = Routing.sumOverSequences(rows, units, length, width);
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= length;
        }
        return mean;
    }

    @Override
    public void backward(Routing routing, double[] dWeights, double[] dLogits) {
        Routing units = routing.units();
        if (units == null) {
            throw Arguments.mismatch("routing", "one of a sequence-level router", "one of single tokens");
        }
        Arguments.length("dWeights", dWeights.length, routing.weights().length, "tokens x topK");
        Arguments.length("dLogits", dLogits.length, routing.logits().length, "tokens x numExperts");
        int length = routing.input().sequence();
        double[] dUnitWeights = Routing.sumOverSequences(dWeights, units.tokens(), length, routing.topK());
        var dUnitLogits = new double[units.logits().length];
        inner.backward(units, dUnitWeights, dUnitLogits);
        Routing.addToSequences(dUnitLogits, length, routing.numExperts(), dLogits);
    }
}
