package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreRouter;
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
        RouterInput.Builder input = RouterInput.builder(logits(x), tokens, choices)
                .shape(options.batch(), tokens / options.batch())
                .training(options.training())
                .noise(options.noise());
        if (options.tokenIds() != null) {
            input.tokenIds(options.tokenIds());
        }
        Matrix noiseWeight = parameters.noiseWeight();
        if (noiseWeight != null) {
            input.noiseLogits(product(x, noiseWeight));
        }
        if (parameters.selectionBias() != null) {
            input.selectionBias(toHost(parameters.selectionBias()));
        }
        return config.router().route(input.build());
    }

    private double[] logits(Matrix x) {
        double[] logits = product(x, parameters.routerWeight());
        if (parameters.routerBias() != null) {
            double[] bias = toHost(parameters.routerBias());
            for (int i = 0; i < logits.length; i++) {
                logits[i] += bias[i % bias.length];
            }
        }
        return logits;
    }

    private double[] product(Matrix x, Matrix weight) {
        try (KernelMemory.Scope scratch = kernels.memory().open()) {
            Matrix z = scratch.allocate(kernels.accumulation(), x.rows(), weight.rows());
            kernels.blockSparse().gemm(x, Transpose.N, weight, Transpose.T, z, false);
            return toHost(z);
        }
    }

    /** Gradients of the logits and, with noisy gating, of the noise logits, [T, routedChoices]. */
    record LogitGradients(Matrix logits, @Nullable Matrix noise) {}

    /**
     * Takes the gradient of the logits through the router and adds what the auxiliary losses have.
     *
     * @param dWeights gradient of the routing weights [T, k]; changed
     */
    LogitGradients backward(Routing routing, double[] dWeights, List<LossValue> losses, KernelMemory.Scope scratch) {
        double[] dLogits = new double[routing.logits().length];
        double[] dNoise = new double[config.noisyGating() ? dLogits.length : 0];
        for (LossValue loss : losses) {
            add(loss.dLogits(), dLogits);
            if (loss.dWeights() != null) {
                add(loss.dWeights(), dWeights);
            }
            if (loss.dNoiseLogits() != null) {
                add(loss.dNoiseLogits(), dNoise);
            }
        }
        config.router().backward(routing, dWeights, dLogits);
        if (config.noisyGating() && config.router() instanceof ScoreRouter router) {
            router.backwardNoise(routing, dWeights, dNoise);
        }
        Matrix noise = config.noisyGating() ? toDevice(dNoise, routing, scratch) : null;
        return new LogitGradients(toDevice(dLogits, routing, scratch), noise);
    }

    private Matrix toDevice(double[] values, Routing routing, KernelMemory.Scope scratch) {
        Matrix matrix = scratch.allocate(kernels.accumulation(), routing.tokens(), routing.numExperts());
        kernels.memory().copy(Matrix.of(values, routing.tokens(), routing.numExperts()), matrix);
        return matrix;
    }

    private static void add(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += from[i];
        }
    }

    /** Adds to the gradients of weights and bias. */
    void parameterGradients(Matrix x, LogitGradients from, MoeGradients gradients, Matrix ones) {
        Matrix weight = Objects.requireNonNull(gradients.routerWeight());
        kernels.blockSparse().gemm(from.logits, Transpose.T, x, Transpose.N, weight, true);
        if (gradients.routerBias() != null) {
            kernels.blockSparse().gemm(ones, Transpose.T, from.logits, Transpose.N, gradients.routerBias(), true);
        }
        if (from.noise != null && gradients.noiseWeight() != null) {
            kernels.blockSparse().gemm(from.noise, Transpose.T, x, Transpose.N, gradients.noiseWeight(), true);
        }
    }

    /** dX = dLogits Wr + dNoise Wn, or dX += the same. */
    void inputGradient(LogitGradients from, Matrix dX, boolean accumulate) {
        kernels.blockSparse().gemm(from.logits, Transpose.N, parameters.routerWeight(), Transpose.N, dX, accumulate);
        if (from.noise != null && parameters.noiseWeight() != null) {
            kernels.blockSparse().gemm(from.noise, Transpose.N, parameters.noiseWeight(), Transpose.N, dX, true);
        }
    }

    private double[] toHost(Matrix matrix) {
        double[] values = new double[Math.toIntExact(Math.multiplyExact(matrix.rows(), matrix.columns()))];
        kernels.memory().copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    void checkLosses(Routing routing, List<LossValue> losses) {
        for (LossValue loss : losses) {
            checkLength(
                    "lossTerms.dNoiseLogits", config.noisyGating() ? routing.logits().length : 0, loss.dNoiseLogits());
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
