package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.BatchRouting.LogitGradients;
import dev.dropless.moe.loss.LossValue;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The routed experts of one batch, with weight placement, identity experts and latent projections. */
final class RoutedPart implements AutoCloseable {

    private final Kernels kernels;
    private final MoeConfig config;
    private final MoeParameters parameters;
    private final BatchRouting routing;
    private final Set<Trainable> trainable;
    private final ExpertBatch batch;
    private final int tokens;
    private final @Nullable Matrix inputWeights;
    private final @Nullable Matrix combineWeights;
    private final @Nullable Matrix savedLatentIn;
    private final @Nullable Matrix savedLatentOut;

    RoutedPart(
            LayerPass.Parts parts,
            BatchRouting routing,
            MemoryPolicy policy,
            Set<Trainable> trainable,
            KernelMemory.Scope saved) {
        this.kernels = parts.kernels();
        this.config = parts.config();
        this.parameters = parts.parameters();
        this.routing = routing;
        this.trainable = trainable;
        this.tokens = routing.tokens();
        double factor = config.routedFactor();
        if (config.weightPlacement() == WeightPlacement.INPUT) {
            inputWeights = routing.slotWeights(1, saved);
            combineWeights = factor == 1 ? null : parts.constant(factor, tokens, config.topK(), saved);
        } else {
            inputWeights = null;
            combineWeights = routing.slotWeights(factor, saved);
        }
        boolean latent = config.hasLatent() && !trainable.isEmpty();
        savedLatentIn = latent && policy.keepsPreActivations() ? newLatent(saved) : null;
        savedLatentOut = latent && trainable.contains(Trainable.LATENT) ? newLatent(saved) : null;
        batch = routing.open(parts.routed(), keep(policy, trainable));
    }

    private static ExpertExecution.Keep keep(MemoryPolicy policy, Set<Trainable> trainable) {
        boolean data = trainable.contains(Trainable.EXPERTS_UP)
                || trainable.contains(Trainable.ROUTER)
                || trainable.contains(Trainable.LATENT)
                || trainable.contains(Trainable.INPUT);
        return new ExpertExecution.Keep(policy, data, trainable.contains(Trainable.EXPERTS_DOWN));
    }

    private Matrix newLatent(KernelMemory.Scope scope) {
        return scope.allocate(kernels.accumulation(), tokens, config.latentSize());
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
            routing.addIdentity(in, out);
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

    /**
     * Adds the gradients of the experts and of the latent projections, and overwrites dX.
     *
     * @param routes whether the gradient of the logits is wanted
     * @param losses gradients of auxiliary losses
     * @return that gradient, or null
     */
    @Nullable
    LogitGradients backward(
            Matrix x,
            Matrix dY,
            @Nullable Matrix dX,
            boolean routes,
            List<LossValue> losses,
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
            routing.addIdentity(dOut, dIn);
        }
        if (config.hasLatent() && dIn != null) {
            latentInBackward(x, dIn, dX, gradients);
        }
        return dSlots == null ? null : routing.backward(dSlots, in, dOut, losses, scratch);
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

    @Override
    public void close() {
        batch.close();
    }
}
