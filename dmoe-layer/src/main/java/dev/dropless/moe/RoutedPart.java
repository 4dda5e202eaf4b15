package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.router.Routing;
import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologyBuilder;
import java.util.Arrays;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The routed experts of one batch, with weight placement, identity experts and latent projections. */
final class RoutedPart implements AutoCloseable {

    private final Kernels kernels;
    private final MoeConfig config;
    private final MoeParameters parameters;
    private final HostOps host;
    private final Routing routing;
    private final Set<Trainable> trainable;
    private final ExpertBatch batch;
    private final int tokens;
    private final @Nullable Matrix inputWeights;
    private final @Nullable Matrix combineWeights;
    private final @Nullable Matrix savedLatentIn;
    private final @Nullable Matrix savedLatentOut;

    RoutedPart(
            LayerPass.Parts parts,
            Routing routing,
            MemoryPolicy policy,
            Set<Trainable> trainable,
            KernelMemory.Scope saved) {
        this.kernels = parts.kernels();
        this.config = parts.config();
        this.parameters = parts.parameters();
        this.host = parts.host();
        this.routing = routing;
        this.trainable = trainable;
        this.tokens = routing.tokens();
        double factor = config.routedFactor();
        double[] constant = new double[factor == 1 ? 0 : routing.weights().length];
        Arrays.fill(constant, factor);
        if (config.weightPlacement() == WeightPlacement.INPUT) {
            inputWeights = toDevice(routing.weights(), saved);
            combineWeights = factor == 1 ? null : toDevice(constant, saved);
        } else {
            inputWeights = null;
            combineWeights = toDevice(factor == 1 ? routing.weights() : scaled(routing.weights(), factor), saved);
        }
        boolean latent = config.hasLatent() && !trainable.isEmpty();
        savedLatentIn = latent && policy.keepsPreActivations() ? newLatent(saved) : null;
        savedLatentOut = latent && trainable.contains(Trainable.LATENT) ? newLatent(saved) : null;
        batch = parts.routed().open(topology(), keep(policy, trainable));
    }

    private static ExpertExecution.Keep keep(MemoryPolicy policy, Set<Trainable> trainable) {
        boolean data = trainable.contains(Trainable.EXPERTS_UP)
                || trainable.contains(Trainable.ROUTER)
                || trainable.contains(Trainable.LATENT)
                || trainable.contains(Trainable.INPUT);
        return new ExpertExecution.Keep(policy, data, trainable.contains(Trainable.EXPERTS_DOWN));
    }

    private static double[] scaled(double[] values, double factor) {
        double[] result = values.clone();
        for (int i = 0; i < result.length; i++) {
            result[i] *= factor;
        }
        return result;
    }

    private Matrix toDevice(double[] slots, KernelMemory.Scope scope) {
        Matrix matrix = scope.allocate(kernels.accumulation(), tokens, config.topK());
        kernels.memory().copy(Matrix.of(slots, tokens, config.topK()), matrix);
        return matrix;
    }

    private Matrix newLatent(KernelMemory.Scope scope) {
        return scope.allocate(kernels.accumulation(), tokens, config.latentSize());
    }

    /** Identity experts need no product, so their slots have no row. */
    private Topology topology() {
        int[] ids = routing.expertIds();
        if (config.identityExperts() > 0) {
            ids = ids.clone();
            for (int slot = 0; slot < ids.length; slot++) {
                ids[slot] = isIdentity(slot) ? Topology.UNASSIGNED : ids[slot];
            }
        }
        return new TopologyBuilder(config.numExperts(), config.topK(), kernels.tasks()).build(ids);
    }

    private boolean isIdentity(int slot) {
        return routing.expertIds()[slot] >= config.numExperts();
    }

    ExpertBatch batch() {
        return batch;
    }

    /** Overwrites y. */
    void forward(Matrix x, Matrix y, KernelMemory.Scope scratch) {
        Matrix in = latentIn(x, savedLatentIn, scratch);
        Matrix out = !config.hasLatent() ? y : savedLatentOut != null ? savedLatentOut : newLatent(scratch);
        batch.forward(inputs(in), out, false);
        if (config.identityExperts() > 0) {
            host.addScaledRows(identityWeights(), in, out);
        }
        if (config.hasLatent()) {
            Matrix fc2 = Objects.requireNonNull(parameters.latentOut());
            kernels.blockSparse().gemm(out, Transpose.N, fc2, Transpose.T, y, false);
        }
    }

    private ExpertBatch.Inputs inputs(Matrix x) {
        return new ExpertBatch.Inputs(x, inputWeights, combineWeights);
    }

    /** What the experts see: x, or its latent projection computed into {@code target}, or into scratch where that is null. */
    private Matrix latentIn(Matrix x, @Nullable Matrix target, KernelMemory.Scope scratch) {
        if (!config.hasLatent()) {
            return x;
        }
        Matrix latent = target != null ? target : newLatent(scratch);
        Matrix fc1 = Objects.requireNonNull(parameters.latentIn());
        kernels.blockSparse().gemm(x, Transpose.N, fc1, Transpose.T, latent, false);
        return latent;
    }

    /** The factor of each token's own input, [T]: the sum over its identity slots. */
    private double[] identityWeights() {
        double[] sums = new double[tokens];
        int topK = config.topK();
        for (int slot = 0; slot < tokens * topK; slot++) {
            if (isIdentity(slot)) {
                sums[slot / topK] += config.routedFactor() * routing.weights()[slot];
            }
        }
        return sums;
    }

    /**
     * Adds the gradients of the experts and of the latent projections, and overwrites dX.
     *
     * @param routes whether the gradient of the routing weights is wanted
     * @return that gradient [T, k], or zeros
     */
    double[] backward(
            Matrix x,
            Matrix dY,
            @Nullable Matrix dX,
            boolean routes,
            @Nullable MoeGradients gradients,
            KernelMemory.Scope scratch) {
        Matrix in = savedLatentIn != null ? savedLatentIn : latentIn(x, null, scratch);
        Matrix dOut = latentOutBackward(dY, gradients, scratch);
        boolean trainsLatent = config.hasLatent() && trainable.contains(Trainable.LATENT);
        Matrix dIn = dX;
        if (config.hasLatent()) {
            dIn = dX != null || trainsLatent ? newLatent(scratch) : null;
        }
        boolean onInput = config.weightPlacement() == WeightPlacement.INPUT;
        Matrix dSlots = routes ? scratch.allocate(kernels.accumulation(), tokens, config.topK()) : null;
        ExpertWeights experts = gradients == null ? null : gradients.experts();
        ExpertWeights up = trainable.contains(Trainable.EXPERTS_UP) ? experts : null;
        ExpertWeights down = trainable.contains(Trainable.EXPERTS_DOWN) ? experts : null;
        batch.backward(
                inputs(in),
                dOut,
                new ExpertBatch.Gradients(up, down, dIn, false, onInput ? dSlots : null, onInput ? null : dSlots));
        if (config.identityExperts() > 0 && dIn != null) {
            host.addScaledRows(identityWeights(), dOut, dIn);
        }
        if (config.hasLatent() && dIn != null) {
            latentInBackward(x, dIn, dX, gradients);
        }
        return dSlots == null ? new double[0] : weightGradient(dSlots, in, dOut);
    }

    private Matrix latentOutBackward(Matrix dY, @Nullable MoeGradients gradients, KernelMemory.Scope scratch) {
        if (!config.hasLatent()) {
            return dY;
        }
        if (savedLatentOut != null && gradients != null && gradients.latentOut() != null) {
            kernels.blockSparse().gemm(dY, Transpose.T, savedLatentOut, Transpose.N, gradients.latentOut(), true);
        }
        Matrix dOut = newLatent(scratch);
        Matrix fc2 = Objects.requireNonNull(parameters.latentOut());
        kernels.blockSparse().gemm(dY, Transpose.N, fc2, Transpose.N, dOut, false);
        return dOut;
    }

    private void latentInBackward(Matrix x, Matrix dIn, @Nullable Matrix dX, @Nullable MoeGradients gradients) {
        if (trainable.contains(Trainable.LATENT) && gradients != null && gradients.latentIn() != null) {
            kernels.blockSparse().gemm(dIn, Transpose.T, x, Transpose.N, gradients.latentIn(), true);
        }
        if (dX != null) {
            Matrix fc1 = Objects.requireNonNull(parameters.latentIn());
            kernels.blockSparse().gemm(dIn, Transpose.N, fc1, Transpose.N, dX, false);
        }
    }

    /** From the gradient of what the kernels multiplied with to the gradient of the router's weights, identity slots included. */
    private double[] weightGradient(Matrix dSlots, Matrix in, Matrix dOut) {
        int topK = config.topK();
        double factor = config.routedFactor();
        double[] gradient = new double[tokens * topK];
        kernels.memory().copy(dSlots, Matrix.of(gradient, tokens, topK));
        boolean onOutput = config.weightPlacement() == WeightPlacement.OUTPUT;
        for (int slot = 0; slot < gradient.length; slot++) {
            if (isIdentity(slot)) {
                gradient[slot] = factor * HostOps.dot(in, dOut, slot / topK);
            } else if (onOutput) {
                gradient[slot] *= factor;
            }
        }
        return gradient;
    }

    @Override
    public void close() {
        batch.close();
    }
}
