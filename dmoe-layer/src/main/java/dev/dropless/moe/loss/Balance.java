package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.Selection;
import dev.dropless.moe.router.TopKSelection;
import java.util.Arrays;

/** What balancing losses share: each is a sum over tokens and experts of a constant per expert times a score. */
final class Balance {

    private Balance() {}

    /** Sum of factor[e] * scores[t, e] over the rows first..first+rows-1; dScores gets the factors. */
    static double weightedSum(double[] factors, double[] scores, int first, int rows, double[] dScores) {
        int experts = factors.length;
        double sum = 0;
        for (int token = first; token < first + rows; token++) {
            for (int e = 0; e < experts; e++) {
                sum += factors[e] * scores[token * experts + e];
                dScores[token * experts + e] = factors[e];
            }
        }
        return sum;
    }

    /** Softmax of the router logits, as they came, over all experts. */
    static double[] probabilities(Routing routing) {
        double[] logits = routing.logits();
        var p = new double[logits.length];
        for (int token = 0; token < routing.tokens(); token++) {
            ScoreFunction.SOFTMAX.forward(logits, p, token * routing.numExperts(), routing.numExperts());
        }
        return p;
    }

    /** Gradient of the logits behind {@link #probabilities}. */
    static double[] probabilitiesBackward(Routing routing, double[] p, double[] dP) {
        var dLogits = new double[p.length];
        for (int token = 0; token < routing.tokens(); token++) {
            int row = token * routing.numExperts();
            ScoreFunction.SOFTMAX.backward(routing.logits(), p, dP, dLogits, row, routing.numExperts());
        }
        return dLogits;
    }

    /** The k best experts of each token by plain scores, whatever the router chose. */
    static int[] plainTopK(Routing routing, double[] scores) {
        var ids = new int[routing.tokens() * routing.topK()];
        Arrays.fill(ids, -1);
        TopKSelection.BY_SCORE.select(
                new Selection.Candidates(routing.input(), routing.topK(), routing.logits(), scores), ids);
        return ids;
    }

    /** Adds 1 for every choice in the slots of the rows first..first+rows-1. */
    static double[] counts(int[] ids, int first, int rows, int topK, int numExperts) {
        var counts = new double[numExperts];
        for (int slot = first * topK; slot < (first + rows) * topK; slot++) {
            if (ids[slot] >= 0) {
                counts[ids[slot]]++;
            }
        }
        return counts;
    }

    static double[] scaled(double[] values, double factor) {
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
        return values;
    }
}
