package dev.dropless.benchmarks;

import java.util.Arrays;

/**
 * One operation of the back end, alone: no router, no topology, and matrices that are there already.
 *
 * @param operation which one
 * @param layer sizes, assignments, type, threads; with backward if the operation belongs to it
 */
public record OperationTask(Operation operation, LayerTask layer) implements Task {

    /** Bytes of a sum in single precision: expert outputs, gradients of rows and weights. */
    private static final int WIDE = Float.BYTES;

    /**
     * Checks that both agree.
     *
     * @throws IllegalArgumentException if the layer's pass is not the operation's
     */
    public OperationTask {
        if (layer.backward() != operation.backward()) {
            throw new IllegalArgumentException(
                    "layer: expected the pass of %s, found %s".formatted(operation.word(), layer.pass()));
        }
    }

    /**
     * Makes a task.
     *
     * @param operation which one
     * @param shape sizes
     * @param tokens T
     * @param pattern who goes where
     * @param dtype f32, bf16, or int8
     * @param threads 1 or more
     * @return the task
     * @throws IllegalArgumentException if int8 weights do not have the operation
     */
    public static OperationTask of(
            Operation operation, MoeShape shape, int tokens, RoutingPattern pattern, String dtype, int threads) {
        return new OperationTask(
                operation, new LayerTask(shape, tokens, pattern, operation.backward(), dtype, threads));
    }

    @Override
    public String shape() {
        return layer.shape();
    }

    @Override
    public int tokens() {
        return layer.tokens();
    }

    @Override
    public String routing() {
        return layer.routing();
    }

    @Override
    public String pass() {
        return operation.word();
    }

    @Override
    public String dtype() {
        return layer.dtype();
    }

    @Override
    public int threads() {
        return layer.threads();
    }

    /**
     * Tells whether {@link Operation#UP} keeps pre-activations, as training does.
     *
     * @return true unless weights are int8
     */
    boolean keepsPreActivations() {
        return operation != Operation.FORWARD && !layer.int8();
    }

    private double rows() {
        return (double) layer.tokens() * layer.layer().topK();
    }

    private double upWeights() {
        return (double) layer.layer().hiddenSize() * layer.layer().experts().preActivations();
    }

    private double downWeights() {
        return (double) layer.layer().hiddenSize() * layer.layer().ffnHiddenSize();
    }

    /** Two for each weight and row; of the sums over a token's rows, two or one for each element. */
    @Override
    public double usefulFlops() {
        return switch (operation) {
            case UP, UP_DGRAD, UP_WGRAD -> 2 * rows() * upWeights();
            case DOWN, DOWN_DGRAD, DOWN_WGRAD -> 2 * rows() * downWeights();
            case COMBINE -> 2 * rows() * layer.layer().hiddenSize();
            case AGGREGATE -> rows() * layer.layer().hiddenSize();
            case FORWARD, FORWARD_BACKWARD -> layer.usefulFlops();
        };
    }

    /** Each operand and each result once; weight gradients, which are added to, twice. */
    @Override
    public double compulsoryBytes() {
        double experts = Arrays.stream(layer.topology().tokensPerExpert())
                .filter(load -> load > 0)
                .count();
        int bytes = layer.type().bytes();
        int weightBytes = layer.int8() ? 1 : bytes;
        double tokens = (double) layer.tokens() * layer.layer().hiddenSize();
        double pre = rows() * layer.layer().experts().preActivations() * bytes;
        double hidden = rows() * layer.layer().ffnHiddenSize() * bytes;
        double wideRows = rows() * layer.layer().hiddenSize() * WIDE;
        return switch (operation) {
            case UP ->
                experts * upWeights() * weightBytes + tokens * bytes + hidden + (keepsPreActivations() ? pre : 0);
            case DOWN -> experts * downWeights() * weightBytes + hidden + wideRows;
            case COMBINE, AGGREGATE -> wideRows + tokens * WIDE;
            case DOWN_DGRAD -> experts * downWeights() * bytes + tokens * bytes + 2 * pre + hidden;
            case DOWN_WGRAD -> experts * downWeights() * 2 * WIDE + hidden + tokens * bytes;
            case UP_DGRAD -> experts * upWeights() * bytes + pre + wideRows;
            case UP_WGRAD -> experts * upWeights() * 2 * WIDE + pre + tokens * bytes;
            case FORWARD, FORWARD_BACKWARD -> layer.compulsoryBytes();
        };
    }
}
