package dev.dropless.blocksparse.reference;

import static dev.dropless.blocksparse.reference.Doubles.add;
import static dev.dropless.blocksparse.reference.Doubles.dot;

import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;

/**
 * The weights of one expert as doubles: up-projection [H, P] with the gate's columns first, down-projection [F, H], and
 * biases, zero where there are none.
 */
record Expert(double[][] up, double[] upBias, double[][] down, double[] downBias) {

    static Expert of(ExpertWeights weights, int expert) {
        ReferenceExpertWeights source = own(weights);
        double[][] gate = Doubles.read(source.matrix(WeightPart.GATE, expert));
        double[] gateBias = bias(source, WeightPart.GATE_BIAS, expert);
        double[][] down = Doubles.read(source.matrix(WeightPart.DOWN, expert));
        double[] downBias = bias(source, WeightPart.DOWN_BIAS, expert);
        if (!source.shape().gated()) {
            return new Expert(gate, gateBias, down, downBias);
        }
        double[][] up = Doubles.read(source.matrix(WeightPart.UP, expert));
        for (int h = 0; h < gate.length; h++) {
            gate[h] = concatenate(gate[h], up[h]);
        }
        return new Expert(gate, concatenate(gateBias, bias(source, WeightPart.UP_BIAS, expert)), down, downBias);
    }

    /** Weights that this back end allocated. */
    static ReferenceExpertWeights own(ExpertWeights weights) {
        if (weights instanceof ReferenceExpertWeights own) {
            return own;
        }
        throw new IllegalArgumentException("weights: expected weights that the reference allocated, found "
                + weights.getClass().getName());
    }

    private static double[] bias(ReferenceExpertWeights weights, WeightPart part, int expert) {
        return weights.shape().has(part)
                ? Doubles.readRow(weights.matrix(part, expert), 0)
                : new double[weights.shape().columns(part)];
    }

    private static double[] concatenate(double[] first, double[] second) {
        double[] both = new double[first.length + second.length];
        System.arraycopy(first, 0, both, 0, first.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    /** x Up + upBias. */
    double[] preActivations(double[] x) {
        return product(x, up, upBias);
    }

    /** hidden Down + downBias. */
    double[] output(double[] hidden) {
        return product(hidden, down, downBias);
    }

    /** dOut Down^T. */
    double[] hiddenGradient(double[] dOut) {
        return transposedProduct(dOut, down);
    }

    /** dPre Up^T. */
    double[] inputGradient(double[] dPre) {
        return transposedProduct(dPre, up);
    }

    private static double[] product(double[] x, double[][] weight, double[] bias) {
        double[] y = bias.clone();
        for (int l = 0; l < x.length; l++) {
            add(x[l], weight[l], y);
        }
        return y;
    }

    private static double[] transposedProduct(double[] y, double[][] weight) {
        double[] x = new double[weight.length];
        for (int l = 0; l < x.length; l++) {
            x[l] = dot(weight[l], y);
        }
        return x;
    }
}
