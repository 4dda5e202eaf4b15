package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.RoutingKernels;
import dev.dropless.topology.Topology;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The shared expert of one batch: one expert that has every token, weighted by the combination's factor and, where there is one, by its sigmoid gate. */
final class SharedPart implements AutoCloseable {

    private final Kernels kernels;
    private final MoeParameters parameters;
    private final LayerPass.Parts parts;
    private final boolean trains;
    private final boolean sigmoidGate;
    private final double factor;
    private final ExpertBatch batch;
    private final @Nullable Matrix gate;

    SharedPart(
            LayerPass.Parts parts,
            DroplessExecution execution,
            int tokens,
            MemoryPolicy policy,
            Set<Trainable> trainable,
            KernelMemory.Scope saved) {
        MoeConfig config = parts.config();
        this.kernels = parts.kernels();
        this.parameters = parts.parameters();
        this.parts = parts;
        this.trains = trainable.contains(Trainable.SHARED);
        this.sigmoidGate = parameters.sharedGate() != null;
        this.factor = config.sharedFactor();
        this.gate = sigmoidGate || factor != 1 ? saved.allocate(kernels.accumulation(), tokens, 1) : null;
        boolean data = trains || trainable.contains(Trainable.INPUT);
        RoutingKernels routing = kernels.routing();
        ExpertPlan plan = routing == null ? kernels.experts().plan(Topology.dense(tokens)) : routing.dense(tokens);
        this.batch = execution.open(plan, new ExpertExecution.Keep(policy, data, trains));
    }

    /** Adds to y. */
    void forward(Matrix x, Matrix y, KernelMemory.Scope scratch) {
        if (gate != null) {
            fillGate(x, gate, scratch);
        }
        batch.forward(new ExpertBatch.Inputs(x, null, gate), y, true);
    }

    private void fillGate(Matrix x, Matrix target, KernelMemory.Scope scratch) {
        if (sigmoidGate) {
            Matrix s = scratch.allocate(kernels.accumulation(), x.rows(), 1);
            kernels.blockSparse().gemm(x, Transpose.N, gateWeight(), Transpose.T, s, false);
            parts.needElementwise().sigmoidGate(s, factor, target);
        } else {
            parts.fill(target, factor);
        }
    }

    private Matrix gateWeight() {
        return Objects.requireNonNull(parameters.sharedGate());
    }

    /** Adds to the gradients of the shared expert and to dX. */
    void backward(
            Matrix x, Matrix dY, @Nullable Matrix dX, @Nullable MoeGradients gradients, KernelMemory.Scope scratch) {
        ExpertWeights weights = trains && gradients != null ? gradients.shared() : null;
        if (weights == null && dX == null) {
            return;
        }
        Matrix dGate = sigmoidGate ? scratch.allocate(kernels.accumulation(), x.rows(), 1) : null;
        batch.backward(
                new ExpertBatch.Inputs(x, null, gate),
                dY,
                new ExpertBatch.Gradients(weights, weights, dX, true, null, dGate));
        if (gate != null && dGate != null) {
            parts.needElementwise().sigmoidGateBackward(gate, factor, dGate);
            if (trains && gradients != null && gradients.sharedGate() != null) {
                kernels.blockSparse().gemm(dGate, Transpose.T, x, Transpose.N, gradients.sharedGate(), true);
            }
            if (dX != null) {
                kernels.blockSparse().gemm(dGate, Transpose.N, gateWeight(), Transpose.N, dX, true);
            }
        }
    }

    @Override
    public void close() {
        batch.close();
    }
}
