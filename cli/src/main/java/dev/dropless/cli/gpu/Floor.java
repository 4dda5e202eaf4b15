package dev.dropless.cli.gpu;

import java.util.ArrayList;
import java.util.List;

/**
 * The least time that a pass can take on a device: every kernel either multiplies at the dense ceiling or moves its operands at the speed of copies, whichever takes longer.
 * Each operand is read or written once by each kernel, in 16 bits; gathered tokens are counted once for each token, not once for each of its rows; weights are those of experts
 * that have rows. Three kernels forward (up with its activation, down, combine), five backward (down's input gradient with that of the activation, both weight gradients, up's
 * input gradient, aggregation), as SonicMoE (arXiv 2512.14080) divides them.
 */
final class Floor {

    private static final int BYTES = 2;

    /** One kernel. */
    private record Step(double flops, double bytes) {}

    private final List<Step> steps = new ArrayList<>();

    private Floor() {}

    private void step(double flops, double elements) {
        steps.add(new Step(flops, BYTES * elements));
    }

    /**
     * A forward pass that keeps pre-activations.
     *
     * @param experts those that have rows
     */
    static Floor forward(BenchmarkShape shape, double experts) {
        Floor floor = new Floor();
        double tokens = (double) shape.tokens() * shape.hiddenSize();
        double rows = (double) shape.rows() * shape.hiddenSize();
        double hidden = (double) shape.rows() * shape.ffnHiddenSize();
        double pre = (double) shape.rows() * shape.preActivations();
        double up = experts * shape.hiddenSize() * shape.preActivations();
        double down = experts * shape.hiddenSize() * shape.ffnHiddenSize();
        floor.step(2 * pre * shape.hiddenSize(), tokens + up + pre + hidden);
        floor.step(2 * hidden * shape.hiddenSize(), hidden + down + rows);
        floor.step(0, rows + tokens);
        return floor;
    }

    /** A backward pass from what {@link #forward} keeps. */
    static Floor backward(BenchmarkShape shape, double experts) {
        Floor floor = new Floor();
        double tokens = (double) shape.tokens() * shape.hiddenSize();
        double rows = (double) shape.rows() * shape.hiddenSize();
        double hidden = (double) shape.rows() * shape.ffnHiddenSize();
        double pre = (double) shape.rows() * shape.preActivations();
        double up = experts * shape.hiddenSize() * shape.preActivations();
        double down = experts * shape.hiddenSize() * shape.ffnHiddenSize();
        floor.step(2 * hidden * shape.hiddenSize(), tokens + down + 2 * pre + hidden);
        floor.step(2 * hidden * shape.hiddenSize(), hidden + tokens + down);
        floor.step(2 * pre * shape.hiddenSize(), pre + up + rows);
        floor.step(2 * pre * shape.hiddenSize(), pre + tokens + up);
        floor.step(0, rows + tokens);
        return floor;
    }

    /** One product of every row's hidden activations with the down projection of its expert. */
    static Floor down(BenchmarkShape shape) {
        Floor floor = new Floor();
        double hidden = (double) shape.rows() * shape.ffnHiddenSize();
        double weights = (double) shape.numExperts() * shape.hiddenSize() * shape.ffnHiddenSize();
        double rows = (double) shape.rows() * shape.hiddenSize();
        floor.step(2 * hidden * shape.hiddenSize(), hidden + weights + rows);
        return floor;
    }

    /** Both passes one after the other. */
    Floor and(Floor other) {
        Floor both = new Floor();
        both.steps.addAll(steps);
        both.steps.addAll(other.steps);
        return both;
    }

    /** Useful floating-point operations. */
    double flops() {
        return steps.stream().mapToDouble(Step::flops).sum();
    }

    /** Bytes that are moved. */
    double bytes() {
        return steps.stream().mapToDouble(Step::bytes).sum();
    }

    /** The least time in milliseconds; 0 if a ceiling is not known. */
    double milliseconds(Ceilings ceilings) {
        if (ceilings.burst() <= 0 || ceilings.copy() <= 0) {
            return 0;
        }
        return steps.stream()
                .mapToDouble(s -> Math.max(s.flops / ceilings.burst() / 1e9, s.bytes / ceilings.copy() / 1e6))
                .sum();
    }
}
