package dev.dropless.moe.router;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What a router decided for every token, with what its backward pass and the auxiliary losses need. Slot = token * k +
 * rank. The arrays are the routing's own, not copies: read them, never write them.
 */
public final class Routing {

    private final RouterInput input;
    private final int topK;
    private final Gating gating;
    private final double[] gateLogits;
    private final double @Nullable [] noiseDraws;
    private final double[] scores;
    private final int[] selectedIds;
    private final int[] expertIds;
    private final double[] weights;
    private final @Nullable Routing units;

    private Routing(
            RouterInput input, int topK, Gated gated, Choice choice, double[] weights, @Nullable Routing units) {
        this.input = input;
        this.topK = topK;
        this.gating = gated.gating;
        this.gateLogits = gated.gateLogits;
        this.noiseDraws = gated.noiseDraws;
        this.scores = gated.scores;
        this.selectedIds = choice.selectedIds;
        this.expertIds = choice.expertIds;
        this.weights = weights;
        this.units = units;
    }

    /** Logits on their way to scores. */
    static final class Gated {
        final Gating gating;
        final double @Nullable [] noiseDraws;
        final double[] gateLogits;
        final double[] scores;

        Gated(Gating gating, RouterInput input) {
            this.gating = gating;
            this.noiseDraws = gating.noiseDraws(input);
            this.gateLogits = gating.gateLogits(input, noiseDraws);
            this.scores = gating.scores(gateLogits, input.tokens(), input.numExperts());
        }

        private Gated(Gating gating, double @Nullable [] noiseDraws, double[] gateLogits, double[] scores) {
            this.gating = gating;
            this.noiseDraws = noiseDraws;
            this.gateLogits = gateLogits;
            this.scores = scores;
        }
    }

    /** Expert ids before and after dropping. */
    static final class Choice {
        final int[] selectedIds;
        final int[] expertIds;

        Choice(int[] selectedIds, int[] expertIds) {
            this.selectedIds = selectedIds;
            this.expertIds = expertIds;
        }
    }

    static Routing of(RouterInput input, int topK, Gated gated, Choice choice, double[] weights) {
        return new Routing(input, topK, gated, choice, weights, null);
    }

    /** Gives every token the decision of its sequence. */
    static Routing ofUnits(RouterInput input, Routing units) {
        int length = input.sequence();
        int k = units.topK;
        int experts = input.numExperts();
        var gated = new Gated(
                units.gating,
                units.noiseDraws == null ? null : repeat(units.noiseDraws, length, experts),
                repeat(units.gateLogits, length, experts),
                repeat(units.scores, length, experts));
        var choice = new Choice(repeat(units.selectedIds, length, k), repeat(units.expertIds, length, k));
        return new Routing(input, k, gated, choice, repeat(units.weights, length, k), units);
    }

    /** Sequences with tokens in them. */
    static int unitCount(RouterInput input) {
        return input.sequence() == 0 ? 0 : input.batch();
    }

    private static double[] repeat(double[] rows, int times, int width) {
        var all = new double[rows.length * times];
        for (int i = 0; i < all.length; i++) {
            all[i] = rows[i / (times * width) * width + i % width];
        }
        return all;
    }

    private static int[] repeat(int[] rows, int times, int width) {
        var all = new int[rows.length * times];
        for (int i = 0; i < all.length; i++) {
            all[i] = rows[i / (times * width) * width + i % width];
        }
        return all;
    }

    /** Sums the rows of each sequence: [units * length, width] to [units, width]. */
    static double[] sumOverSequences(double[] rows, int units, int length, int width) {
        var sum = new double[units * width];
        for (int i = 0; i < rows.length; i++) {
            sum[i / (length * width) * width + i % width] += rows[i];
        }
        return sum;
    }

    /** Adds to every token's row its share, 1 / length, of the row of its sequence: the gradient of the mean. */
    static void addToSequences(double[] unitRows, int length, int width, double[] rows) {
        for (int i = 0; i < rows.length; i++) {
            rows[i] += unitRows[i / (length * width) * width + i % width] / length;
        }
    }

    /**
     * A routing made elsewhere, for instance by a router of the caller's own or by another system.
     *
     * @param input what was routed
     * @param topK k, slots of each token
     * @param gating how the logits became scores
     * @param expertIds [T * k], each in 0..E-1, or -1 for none
     * @param weights [T * k]
     * @return the routing
     * @throws IllegalArgumentException if a length or an id is wrong, or k is above E
     */
    public static Routing of(RouterInput input, int topK, Gating gating, int[] expertIds, double[] weights) {
        Arguments.atLeast("topK", topK, 1);
        if (topK > input.numExperts()) {
            throw Arguments.mismatch("topK", "at most numExperts = " + input.numExperts(), topK);
        }
        long slots = (long) input.tokens() * topK;
        Arguments.length("expertIds", expertIds.length, slots, "tokens x topK");
        Arguments.length("weights", weights.length, slots, "tokens x topK");
        for (int slot = 0; slot < expertIds.length; slot++) {
            if (expertIds[slot] < -1 || expertIds[slot] >= input.numExperts()) {
                throw Arguments.mismatch(
                        "expertIds[" + slot + "]", "-1 to " + (input.numExperts() - 1), expertIds[slot]);
            }
        }
        return of(input, topK, new Gated(gating, input), new Choice(expertIds, expertIds), weights);
    }

    /**
     * What was routed.
     *
     * @return the input
     */
    public RouterInput input() {
        return input;
    }

    /**
     * Number of tokens.
     *
     * @return T
     */
    public int tokens() {
        return input.tokens();
    }

    /**
     * Number of experts.
     *
     * @return E
     */
    public int numExperts() {
        return input.numExperts();
    }

    /**
     * Slots of each token.
     *
     * @return k
     */
    public int topK() {
        return topK;
    }

    /**
     * Experts that compute, best first within a token.
     *
     * @return [T * k]; -1 where a choice was dropped or there is none
     */
    public int[] expertIds() {
        return expertIds;
    }

    /**
     * Experts that were chosen, before any was dropped by a capacity rule.
     *
     * @return [T * k]; -1 where there is no choice; the array of {@link #expertIds} if nothing can be dropped
     */
    public int[] selectedIds() {
        return selectedIds;
    }

    /**
     * Combine weights, all normalisation and scaling included.
     *
     * @return [T * k]; 0 where the expert id is -1
     */
    public double[] weights() {
        return weights;
    }

    /**
     * What the score function gave, before any selection bias.
     *
     * @return [T, E]
     */
    public double[] scores() {
        return scores;
    }

    /**
     * Router logits, as they came.
     *
     * @return [T, E]
     */
    public double[] logits() {
        return input.logits();
    }

    /**
     * Logits after capping and noise, which the score function sees.
     *
     * @return [T, E]; the array of {@link #logits} if nothing changed them
     */
    public double[] gateLogits() {
        return gateLogits;
    }

    /**
     * The standard normal numbers that made the noise of noisy gating.
     *
     * @return [T, E], or null if no noise was added
     */
    public double @Nullable [] noiseDraws() {
        return noiseDraws;
    }

    /**
     * How the logits became scores.
     *
     * @return the gating
     */
    public Gating gating() {
        return gating;
    }

    /**
     * The decision of a sequence-level router: one row for each sequence.
     *
     * @return the routing of the B units, or null if tokens were routed one by one
     */
    public @Nullable Routing units() {
        return units;
    }

    /**
     * Counts the slots each expert computes.
     *
     * @return a new array [E]
     */
    public int[] tokensPerExpert() {
        return count(expertIds);
    }

    /**
     * Counts the slots that chose each expert, dropped ones included.
     *
     * @return a new array [E]
     */
    public int[] selectedPerExpert() {
        return count(selectedIds);
    }

    private int[] count(int[] ids) {
        var counts = new int[numExperts()];
        for (int id : ids) {
            if (id >= 0) {
                counts[id]++;
            }
        }
        return counts;
    }

    /**
     * Adds to the gradient of the logits what a gradient of the scores gives them, through score function and capping.
     *
     * @param dScores gradient of {@link #scores}, [T, E]
     * @param dLogits added to, [T, E]
     * @throws IllegalArgumentException if a length is wrong
     */
    public void addScoreGradient(double[] dScores, double[] dLogits) {
        Arguments.length("dScores", dScores.length, scores.length, "tokens x numExperts");
        Arguments.length("dLogits", dLogits.length, scores.length, "tokens x numExperts");
        int experts = numExperts();
        var dGate = new double[scores.length];
        for (int token = 0; token < tokens(); token++) {
            gating.function().backward(gateLogits, scores, dScores, dGate, token * experts, experts);
        }
        addGateGradient(dGate, dLogits);
    }

    /**
     * Adds to the gradient of the logits what a gradient of the gate logits gives them, through capping.
     *
     * @param dGate gradient of {@link #gateLogits}, [T, E]
     * @param dLogits added to, [T, E]
     * @throws IllegalArgumentException if a length is wrong
     */
    public void addGateGradient(double[] dGate, double[] dLogits) {
        Arguments.length("dGate", dGate.length, scores.length, "tokens x numExperts");
        Arguments.length("dLogits", dLogits.length, scores.length, "tokens x numExperts");
        if (units == null) {
            gating.gateBackward(input.logits(), dGate, dLogits, 0, scores.length);
            return;
        }
        double[] dUnitGate = sumOverSequences(dGate, units.tokens(), input.sequence(), numExperts());
        var dUnitLogits = new double[dUnitGate.length];
        units.addGateGradient(dUnitGate, dUnitLogits);
        addToSequences(dUnitLogits, input.sequence(), numExperts(), dLogits);
    }

    /**
     * Adds to the gradient of the noise logits what a gradient of the gate logits gives them: g = z + n * softplus(m),
     * so dm += dg * n * sigmoid(m).
     *
     * @param dGate gradient of {@link #gateLogits}, [T, E]
     * @param dNoiseLogits added to, [T, E]; left alone if no noise was added
     * @throws IllegalArgumentException if a length is wrong
     */
    public void addNoiseGradient(double[] dGate, double[] dNoiseLogits) {
        Arguments.length("dGate", dGate.length, scores.length, "tokens x numExperts");
        Arguments.length("dNoiseLogits", dNoiseLogits.length, scores.length, "tokens x numExperts");
        double[] noise = input.noiseLogits();
        if (noiseDraws == null || noise == null) {
            return;
        }
        if (units != null) {
            double[] dUnitGate = sumOverSequences(dGate, units.tokens(), input.sequence(), numExperts());
            var dUnitNoise = new double[dUnitGate.length];
            units.addNoiseGradient(dUnitGate, dUnitNoise);
            addToSequences(dUnitNoise, input.sequence(), numExperts(), dNoiseLogits);
            return;
        }
        addNoiseGradient(noise, noiseDraws, dGate, dNoiseLogits, 0, dGate.length);
    }

    /** The same as {@link #addGateGradient(double[], double[])} with one row [E], for a token that was routed by itself. */
    void addGateGradient(int token, double[] dGate, double[] dLogits) {
        gating.gateBackward(input.logits(), dGate, dLogits, token * numExperts(), numExperts());
    }

    /** The same as {@link #addNoiseGradient(double[], double[])} with one row [E], for a token that was routed by itself. */
    void addNoiseGradient(int token, double[] dGate, double[] dNoiseLogits) {
        double[] noise = input.noiseLogits();
        if (noiseDraws != null && noise != null) {
            addNoiseGradient(noise, noiseDraws, dGate, dNoiseLogits, token * numExperts(), numExperts());
        }
    }

    private static void addNoiseGradient(
            double[] noise, double[] draws, double[] dGate, double[] dNoiseLogits, int offset, int count) {
        for (int i = 0; i < count; i++) {
            dNoiseLogits[offset + i] += dGate[i] * draws[offset + i] * ScoreFunction.sigmoid(noise[offset + i]);
        }
    }

    @Override
    public String toString() {
        return "Routing[tokens=%d, numExperts=%d, topK=%d, tokensPerExpert=%s]"
                .formatted(tokens(), numExperts(), topK, Arrays.toString(tokensPerExpert()));
    }
}
