package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.BatchRouting.LogitGradients;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterInput;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The router with its parameters: x -> logits -> routing, and back. Products run in the back end; the decision is made there too where {@link DeviceRule} allows, else on
 * the host. Both are in double precision.
 */
final class RouterStage {

    private final Kernels kernels;
    private final MoeConfig config;
    private final MoeParameters parameters;
    private final DeviceRule.Decision place;

    RouterStage(Kernels kernels, MoeConfig config, MoeParameters parameters, DeviceRule.Decision place) {
        this.kernels = kernels;
        this.config = config;
        this.parameters = parameters;
        this.place = place;
    }

    Kernels kernels() {
        return kernels;
    }

    MoeConfig config() {
        return config;
    }

    /** Where decisions are made, for people. */
    String place() {
        return place.rule() != null ? kernels.memory().space().toString() : "host: " + place.reason();
    }

    /**
     * Routes a batch.
     *
     * @param x what the router sees
     * @param saved where to allocate what backward needs
     */
    BatchRouting route(Matrix x, ForwardOptions options, KernelMemory.Scope saved) {
        DeviceRule rule = place.rule();
        if (rule != null) {
            Matrix logits = product(x, parameters.routerWeight(), saved);
            Matrix selection = config.selectionBias() ? parameters.selectionBias() : null;
            return new DeviceBatchRouting(
                    this,
                    rule,
                    rule.routing().route(rule.rule(), logits, parameters.routerBias(), selection),
                    logits,
                    options);
        }
        try (KernelMemory.Scope scratch = kernels.memory().open()) {
            RouterInput.Builder input = input(product(x, parameters.routerWeight(), scratch), options);
            Matrix noiseWeight = parameters.noiseWeight();
            if (noiseWeight != null) {
                input.noiseLogits(toHost(product(x, noiseWeight, scratch)));
            }
            return new HostRouting(kernels, config, config.router().route(input.build()));
        }
    }

    /** Copies logits without bias to the host and adds what else a router is told. */
    RouterInput.Builder input(Matrix product, ForwardOptions options) {
        int tokens = (int) product.rows();
        RouterInput.Builder input = RouterInput.builder(logits(product), tokens, config.routedChoices())
                .shape(options.batch(), tokens / options.batch())
                .training(options.training())
                .noise(options.noise());
        if (options.tokenIds() != null) {
            input.tokenIds(options.tokenIds());
        }
        if (parameters.selectionBias() != null) {
            input.selectionBias(toHost(parameters.selectionBias()));
        }
        return input;
    }

    private double[] logits(Matrix product) {
        double[] logits = toHost(product);
        if (parameters.routerBias() != null) {
            double[] bias = toHost(parameters.routerBias());
            for (int i = 0; i < logits.length; i++) {
                logits[i] += bias[i % bias.length];
            }
        }
        return logits;
    }

    private Matrix product(Matrix x, Matrix weight, KernelMemory.Scope scope) {
        Matrix z = scope.allocate(kernels.accumulation(), x.rows(), weight.rows());
        kernels.blockSparse().gemm(x, Transpose.N, weight, Transpose.T, z, false);
        return z;
    }

    double[] toHost(Matrix matrix) {
        double[] values = new double[Math.toIntExact(Math.multiplyExact(matrix.rows(), matrix.columns()))];
        kernels.memory().copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    /** Adds to the gradients of weights and bias. */
    void parameterGradients(Matrix x, LogitGradients from, MoeGradients gradients, Matrix ones) {
        Matrix weight = Objects.requireNonNull(gradients.routerWeight());
        kernels.blockSparse().gemm(from.logits(), Transpose.T, x, Transpose.N, weight, true);
        if (gradients.routerBias() != null) {
            kernels.blockSparse().gemm(ones, Transpose.T, from.logits(), Transpose.N, gradients.routerBias(), true);
        }
        if (from.noise() != null && gradients.noiseWeight() != null) {
            kernels.blockSparse().gemm(from.noise(), Transpose.T, x, Transpose.N, gradients.noiseWeight(), true);
        }
    }

    /** dX = dLogits Wr + dNoise Wn, or dX += the same. */
    void inputGradient(LogitGradients from, Matrix dX, boolean accumulate) {
        kernels.blockSparse().gemm(from.logits(), Transpose.N, parameters.routerWeight(), Transpose.N, dX, accumulate);
        if (from.noise() != null && parameters.noiseWeight() != null) {
            kernels.blockSparse().gemm(from.noise(), Transpose.N, parameters.noiseWeight(), Transpose.N, dX, true);
        }
    }

    void checkLosses(int tokens, List<LossValue> losses) {
        int logits = tokens * config.routedChoices();
        for (LossValue loss : losses) {
            checkLength("lossTerms.dNoiseLogits", config.noisyGating() ? logits : 0, loss.dNoiseLogits());
            checkLength("lossTerms.dLogits", logits, loss.dLogits());
            checkLength("lossTerms.dWeights", tokens * config.topK(), loss.dWeights());
        }
    }

    private static void checkLength(String argument, int expected, double @Nullable [] found) {
        if (found != null && found.length != expected) {
            throw new IllegalArgumentException(
                    "%s: expected %d elements, found %d".formatted(argument, expected, found.length));
        }
    }
}
