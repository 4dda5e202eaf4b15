package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleSupplier;
import org.jspecify.annotations.Nullable;

/**
 * All inputs of the expert path as plain numbers, and its forward pass token by token, which knows of no rows and no
 * sorting.
 *
 * @param ids expert of every slot, or -1
 * @param topK slots per token
 * @param shape sizes
 * @param activation of all experts
 * @param x tokens [T, H]
 * @param inputWeights [T, k], or null
 * @param combineWeights [T, k], or null
 * @param dY gradient of the outputs [T, H]
 * @param weights every part as [E][rows][columns]
 */
record ExpertProblem(
        int[] ids,
        int topK,
        ExpertShape shape,
        Activation activation,
        double[][] x,
        double @Nullable [][] inputWeights,
        double @Nullable [][] combineWeights,
        double[][] dY,
        Map<WeightPart, double[][][]> weights) {

    /** Normal values, weights scaled so that activations stay near one. */
    static ExpertProblem random(
            Random random, int[] ids, int topK, ExpertShape shape, Activation activation, boolean slotWeights) {
        int tokens = ids.length / topK;
        Map<WeightPart, double[][][]> weights = new EnumMap<>(WeightPart.class);
        for (WeightPart part : WeightPart.values()) {
            if (shape.has(part)) {
                double scale = 1 / Math.sqrt(shape.rows(part));
                double[][][] experts = new double[shape.numExperts()][][];
                Arrays.setAll(
                        experts,
                        e -> matrix(shape.rows(part), shape.columns(part), () -> scale * random.nextGaussian()));
                weights.put(part, experts);
            }
        }
        return new ExpertProblem(
                ids,
                topK,
                shape,
                activation,
                matrix(tokens, shape.hiddenSize(), random::nextGaussian),
                slotWeights ? matrix(tokens, topK, random::nextGaussian) : null,
                slotWeights ? matrix(tokens, topK, random::nextGaussian) : null,
                matrix(tokens, shape.hiddenSize(), random::nextGaussian),
                weights);
    }

    static double[][] matrix(int rows, int columns, DoubleSupplier values) {
        double[][] matrix = new double[rows][columns];
        for (double[] row : matrix) {
            Arrays.setAll(row, j -> values.getAsDouble());
        }
        return matrix;
    }

    int tokens() {
        return x.length;
    }

    Topology topology() {
        return Topology.of(ids, topK, shape.numExperts());
    }

    double[][] part(WeightPart part, int expert) {
        return weights.get(part)[expert];
    }

    /** Outputs [T, H]. */
    double[][] forward() {
        double[][] y = new double[tokens()][shape.hiddenSize()];
        for (int t = 0; t < tokens(); t++) {
            for (int j = 0; j < topK; j++) {
                int e = ids[t * topK + j];
                if (e >= 0) {
                    double v = inputWeights == null ? 1 : inputWeights[t][j];
                    double w = combineWeights == null ? 1 : combineWeights[t][j];
                    addExpert(e, v, w, x[t], y[t]);
                }
            }
        }
        return y;
    }

    private void addExpert(int e, double v, double w, double[] x, double[] y) {
        double[] hidden = new double[shape.ffnHiddenSize()];
        for (int f = 0; f < hidden.length; f++) {
            double a = projection(WeightPart.GATE, WeightPart.GATE_BIAS, e, v, x, f);
            hidden[f] = shape.gated()
                    ? ActivationMath.hidden(activation, a, projection(WeightPart.UP, WeightPart.UP_BIAS, e, v, x, f))
                    : ActivationMath.hidden(activation, a);
        }
        for (int h = 0; h < y.length; h++) {
            y[h] += w * projection(WeightPart.DOWN, WeightPart.DOWN_BIAS, e, 1, hidden, h);
        }
    }

    private double projection(WeightPart weight, WeightPart bias, int e, double scale, double[] input, int column) {
        double sum = shape.has(bias) ? part(bias, e)[0][column] : 0;
        for (int i = 0; i < input.length; i++) {
            sum += scale * input[i] * part(weight, e)[i][column];
        }
        return sum;
    }

    /** The number whose gradients the backward pass computes: sum of dY * y. */
    double loss() {
        double[][] y = forward();
        double loss = 0;
        for (int t = 0; t < y.length; t++) {
            for (int h = 0; h < y[t].length; h++) {
                loss += dY[t][h] * y[t][h];
            }
        }
        return loss;
    }
}
