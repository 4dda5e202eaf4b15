package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The router with its parameters: x -> logits -> routing, and back. Products run in the back end, the decision on the host in double precision. */
final class RouterStage {

    private final Kernels kernels;
    private final MoeConfig config;
    private final MoeParameters parameters;

    RouterStage(Kernels kernels, MoeConfig config, MoeParameters parameters) {
        this.kernels = kernels;
        this.config = config;
        this.parameters = parameters;
    }

    Routing route(Matrix x, ForwardOptions options) {
        int tokens = (int) x.rows();
        int choices = config.routedChoices();
        RouterInput.Builder input = RouterInput.builder(logits(x, tokens, choices), tokens, choices)
                .shape(options.batch(), tokens / options.batch())
                .training(options.training())
                .noise(options.noise());
        if (options.tokenIds() != null) {
            input.tokenIds(options.tokenIds());
        }
        if (parameters.selectionBias() != null) {
            input.selectionBias(toHost(parameters.selectionBias()));
        }
        return config.router().route(input.build());
    }

    private double[] logits(Matrix x, int tokens, int choices) {
        double[] logits;
        try (KernelMemory.Scope scratch = kernels.memory().open()) {
            Matrix z = scratch.allocate(kernels.accumulation(), tokens, choices);
            kernels.blockSparse().gemm(x, Transpose.N, parameters.routerWeight(), Transpose.T, z, false);
            logits = toHost(z);
        }
        if (parameters.routerBias() != null) {
            double[] bias = toHost(parameters.routerBias());
            for (int i = 0; i < logits.length; i++) {
                logits[i] += bias[i % choices];
            }
        }
        return logits;
    }

    /**
     * Returns the gradient of the logits: what comes through the routing weights and what the auxiliary losses add.
     *
     * @param dWeights gradient of the routing weights [T, k]; changed
     */
    double[] logitGradient(Routing routing, double[] dWeights, List<LossValue> losses) {
        double[] dLogits = new double[routing.logits().length];
        for (LossValue loss : losses) {
            add(loss.dLogits(), dLogits);
            if (loss.dWeights() != null) {
                add(loss.dWeights(), dWeights);
            }
        }
        config.router().backward(routing, dWeights, dLogits);
        return dLogits;
    }

    private static void add(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += from[i];
        }
    }

    /** Adds to the gradients of weight and bias. */
    void parameterGradients(Matrix x, Matrix dLogits, MoeGradients gradients, Matrix ones) {
        Matrix weight = Objects.requireNonNull(gradients.routerWeight());
        kernels.blockSparse().gemm(dLogits, Transpose.T, x, Transpose.N, weight, true);
        if (gradients.routerBias() != null) {
            kernels.blockSparse().gemm(ones, Transpose.T, dLogits, Transpose.N, gradients.routerBias(), true);
        }
    }

    /** dX = dLogits Wr, or dX += dLogits Wr. */
    void inputGradient(Matrix dLogits, Matrix dX, boolean accumulate) {
        kernels.blockSparse().gemm(dLogits, Transpose.N, parameters.routerWeight(), Transpose.N, dX, accumulate);
    }

    private double[] toHost(Matrix matrix) {
        double[] values = new double[Math.toIntExact(Math.multiplyExact(matrix.rows(), matrix.columns()))];
        kernels.memory().copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    static void checkLosses(Routing routing, List<LossValue> losses) {
        for (LossValue loss : losses) {
            checkLength("lossTerms.dLogits", routing.logits().length, loss.dLogits());
            checkLength("lossTerms.dWeights", routing.weights().length, loss.dWeights());
        }
    }

    private static void checkLength(String argument, int expected, double @Nullable [] found) {
        if (found != null && found.length != expected) {
            throw new IllegalArgumentException(
                    "%s: expected %d elements, found %d".formatted(argument, expected, found.length));
        }
    }
}
