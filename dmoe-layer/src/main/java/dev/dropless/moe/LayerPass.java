package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.BatchRouting.LogitGradients;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.InputJitter;
import dev.dropless.moe.router.RouterNoise;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One batch on its way through a layer, forward and then perhaps backward, in terms of its three parts: router, routed experts, shared expert. Owns what
 * forward keeps. Arguments were checked by {@link MoeLayer}.
 */
final class LayerPass implements AutoCloseable {

    /** What all batches of a layer share. */
    record Parts(
            Kernels kernels,
            MoeConfig config,
            MoeParameters parameters,
            ExpertExecution routed,
            @Nullable DroplessExecution shared,
            RouterStage router) {

        /** Elementwise work; {@link MoeLayer} refuses layers that need it where there is none. */
        ElementwiseKernels needElementwise() {
            return Objects.requireNonNull(kernels.elementwise());
        }

        /** Sets every element of a matrix in the back end's memory. */
        void fill(Matrix matrix, double value) {
            ElementwiseKernels elementwise = kernels.elementwise();
            if (elementwise != null) {
                elementwise.fill(matrix, value);
                return;
            }
            double[] values = new double[Math.toIntExact(Math.multiplyExact(matrix.rows(), matrix.columns()))];
            Arrays.fill(values, value);
            kernels.memory().copy(Matrix.of(values, matrix.rows(), matrix.columns()), matrix);
        }

        /** A matrix of one value, in the type of sums. */
        Matrix constant(double value, long rows, long columns, KernelMemory.Scope scope) {
            Matrix matrix = scope.allocate(kernels.accumulation(), rows, columns);
            fill(matrix, value);
            return matrix;
        }
    }

    private final Parts parts;
    private final MoeConfig config;
    private final Kernels kernels;
    private final BlockSparseKernels products;
    private final KernelMemory memory;
    private final Set<Trainable> trainable;
    private final KernelMemory.Scope saved;
    private final Matrix x;
    private final int tokens;
    private final @Nullable Matrix jitter;
    private final BatchRouting routing;
    private final RoutedPart routedPart;
    private final @Nullable SharedPart sharedPart;

    /** Routes the batch and makes room for what backward will need. */
    LayerPass(Parts parts, Matrix x, ForwardOptions options, MemoryPolicy policy, Set<Trainable> trainable) {
        this.parts = parts;
        this.config = parts.config();
        this.kernels = parts.kernels();
        this.products = kernels.blockSparse();
        this.memory = kernels.memory();
        this.trainable = trainable;
        this.x = x;
        this.tokens = (int) x.rows();
        this.saved = memory.open();
        BatchRouting routingOpened = null;
        RoutedPart routedOpened = null;
        SharedPart sharedOpened = null;
        boolean opened = false;
        try (KernelMemory.Scope scratch = memory.open()) {
            jitter = options.training() && config.inputJitter().epsilon() > 0 ? drawJitter(options.noise()) : null;
            routingOpened = parts.router().route(routerInput(layerInput(scratch), scratch), options, saved);
            routedOpened = new RoutedPart(parts, routingOpened, policy, trainable, saved);
            DroplessExecution shared = parts.shared();
            if (shared != null) {
                sharedOpened = new SharedPart(parts, shared, tokens, policy, trainable, saved);
            }
            opened = true;
        } finally {
            if (!opened) {
                closeAll(routingOpened, routedOpened, sharedOpened);
            }
        }
        this.routing = routingOpened;
        this.routedPart = routedOpened;
        this.sharedPart = sharedOpened;
    }

    private Matrix drawJitter(RouterNoise noise) {
        double epsilon = config.inputJitter().epsilon();
        int count = Math.toIntExact((long) tokens * config.hiddenSize());
        double[] factors = InputJitter.factors(noise, count, epsilon);
        Matrix matrix = saved.allocate(kernels.accumulation(), tokens, config.hiddenSize());
        memory.copy(Matrix.of(factors, tokens, config.hiddenSize()), matrix);
        return matrix;
    }

    private boolean jitters(Jitter.Scope scope) {
        return jitter != null && config.inputJitter().scope() == scope;
    }

    /** What experts see. */
    private Matrix layerInput(KernelMemory.Scope scratch) {
        return jitters(Jitter.Scope.LAYER) ? jittered(x, scratch) : x;
    }

    /** What the router sees. */
    private Matrix routerInput(Matrix layerInput, KernelMemory.Scope scratch) {
        return jitters(Jitter.Scope.ROUTER) ? jittered(layerInput, scratch) : layerInput;
    }

    private Matrix jittered(Matrix clean, KernelMemory.Scope scratch) {
        Matrix noisy = scratch.allocate(kernels.accumulation(), tokens, config.hiddenSize());
        parts.needElementwise().multiply(clean, Objects.requireNonNull(jitter), noisy, false);
        return noisy;
    }

    BatchRouting routing() {
        return routing;
    }

    Set<Trainable> trainable() {
        return trainable;
    }

    ExpertBatch routedBatch() {
        return routedPart.batch();
    }

    void forward(Matrix y) {
        try (KernelMemory.Scope scratch = memory.open()) {
            Matrix seen = layerInput(scratch);
            boolean several = sharedPart != null || config.outputBias() || config.identityExperts() > 0;
            boolean staged = several && isNarrow(y);
            Matrix sum = staged ? standIn(y, scratch) : y;
            routedPart.forward(seen, sum, scratch);
            if (sharedPart != null) {
                sharedPart.forward(seen, sum, scratch);
            }
            Matrix bias = parts.parameters().outputBias();
            if (bias != null) {
                products.gemm(ones(scratch), Transpose.N, bias, Transpose.N, sum, true);
            }
            if (staged) {
                memory.copy(sum, y);
            }
        }
    }

    void backward(Matrix dY, @Nullable Matrix dX, @Nullable MoeGradients gradients, List<LossValue> losses) {
        try (KernelMemory.Scope scratch = memory.open()) {
            Matrix seen = layerInput(scratch);
            boolean staged = dX != null && isNarrow(dX);
            Matrix sum = dX != null && staged ? standIn(dX, scratch) : dX;
            if (trainable.contains(Trainable.OUTPUT_BIAS) && gradients != null && gradients.outputBias() != null) {
                products.gemm(ones(scratch), Transpose.T, dY, Transpose.N, gradients.outputBias(), true);
            }
            boolean routes = dX != null || trainable.contains(Trainable.ROUTER);
            LogitGradients dLogits = routedPart.backward(seen, dY, sum, routes, losses, gradients, scratch);
            if (sharedPart != null) {
                sharedPart.backward(seen, dY, sum, gradients, scratch);
            }
            if (dLogits != null) {
                routerBackward(seen, dLogits, sum, gradients, scratch);
            }
            if (sum != null && jitter != null && jitters(Jitter.Scope.LAYER)) {
                parts.needElementwise().multiply(sum, jitter, sum, false);
            }
            if (dX != null && sum != null && staged) {
                memory.copy(sum, dX);
            }
        }
    }

    private void routerBackward(
            Matrix seen,
            LogitGradients dLogits,
            @Nullable Matrix dX,
            @Nullable MoeGradients gradients,
            KernelMemory.Scope scratch) {
        if (trainable.contains(Trainable.ROUTER) && gradients != null) {
            parts.router().parameterGradients(routerInput(seen, scratch), dLogits, gradients, ones(scratch));
        }
        if (dX != null && jitter != null && jitters(Jitter.Scope.ROUTER)) {
            Matrix noisy = scratch.allocate(kernels.accumulation(), tokens, config.hiddenSize());
            parts.router().inputGradient(dLogits, noisy, false);
            parts.needElementwise().multiply(noisy, jitter, dX, true);
        } else if (dX != null) {
            parts.router().inputGradient(dLogits, dX, true);
        }
    }

    /** Whether adding to a matrix several times would round several times, so that a wide stand-in is added to and copied at the end. */
    private boolean isNarrow(Matrix target) {
        return target.type().bytes() < kernels.accumulation().bytes();
    }

    private Matrix standIn(Matrix target, KernelMemory.Scope scratch) {
        return scratch.allocate(kernels.accumulation(), target.rows(), target.columns());
    }

    private Matrix ones(KernelMemory.Scope scratch) {
        return parts.constant(1, tokens, 1, scratch);
    }

    private void closeAll(
            @Nullable BatchRouting routingOpened,
            @Nullable RoutedPart routedOpened,
            @Nullable SharedPart sharedOpened) {
        saved.close();
        if (routingOpened != null) {
            routingOpened.close();
        }
        if (routedOpened != null) {
            routedOpened.close();
        }
        if (sharedOpened != null) {
            sharedOpened.close();
        }
    }

    @Override
    public void close() {
        closeAll(routing, routedPart, sharedPart);
    }
}
