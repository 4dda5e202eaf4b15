package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.cli.cases.Difference;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import java.util.ArrayList;
import java.util.List;

/**
 * What one forward and backward pass computed.
 *
 * @param y the output
 * @param dX gradient of the input
 * @param dRouter gradient of the router's weight
 * @param dExperts gradients of the experts' weights, part by part and expert by expert
 */
@SuppressWarnings("ArrayRecordComponent") // a plain carrier, never compared by equals
public record Outcome(double[] y, double[] dX, double[] dRouter, double[] dExperts) {

    /**
     * One compared tensor.
     *
     * @param what which one
     * @param difference how far it is off
     */
    public record Part(String what, Difference difference) {}

    /**
     * Compares all tensors.
     *
     * @param expected what they should be
     * @return forward output, then gradients
     */
    public List<Part> against(Outcome expected) {
        return List.of(
                new Part("output", Difference.of(y, expected.y)),
                new Part("input gradient", Difference.of(dX, expected.dX)),
                new Part("router gradient", Difference.of(dRouter, expected.dRouter)),
                new Part("expert gradients", Difference.of(dExperts, expected.dExperts)));
    }

    static Matrix router(MoeGradients gradients) {
        Matrix router = gradients.routerWeight();
        if (router == null) {
            throw new IllegalStateException("the router was frozen");
        }
        return router;
    }

    /** All parts of all experts, in an order that does not depend on the back end's layout. */
    static double[] experts(MoeConfig config, MoeGradients gradients) {
        ExpertWeights experts = gradients.experts();
        if (experts == null) {
            throw new IllegalStateException("the experts were frozen");
        }
        List<double[]> all = new ArrayList<>();
        Parameters.forEach(config.experts(), (part, expert, rows, columns) -> {
            double[] values = new double[Math.multiplyExact(rows, columns)];
            experts.store(part, expert, Matrix.of(values, rows, columns), Transpose.N);
            all.add(values);
        });
        double[] joined =
                new double[all.stream().mapToInt(values -> values.length).reduce(0, Math::addExact)];
        int next = 0;
        for (double[] values : all) {
            System.arraycopy(values, 0, joined, next, values.length);
            next += values.length;
        }
        return joined;
    }
}
