package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.Routing;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The router's decision for one batch, made on the host or where the back end computes, and what a layer does with it. */
sealed interface BatchRouting extends AutoCloseable permits HostRouting, DeviceBatchRouting {

    /** Gradients of the logits and, with noisy gating, of the noise logits, [T, routedChoices]. */
    record LogitGradients(Matrix logits, @Nullable Matrix noise) {}

    int tokens();

    /** Whether {@link #onHost} costs nothing and works after {@link #close}. */
    boolean isOnHost();

    /** The decision on the host; where it was made on a device the first call copies it and waits. */
    Routing onHost();

    /**
     * What slots are multiplied by.
     *
     * @param factor of the routed part
     * @param saved where the matrix must be allocated that is returned
     * @return weights times factor, [T, k]
     */
    Matrix slotWeights(double factor, KernelMemory.Scope saved);

    /** Opens the experts' batch. */
    ExpertBatch open(ExpertExecution execution, ExpertExecution.Keep keep);

    /** Adds the identity experts' part of a layer's routed part: y[t] += its weights, factor included, times x[t]. */
    void addIdentity(Matrix x, Matrix y);

    /**
     * From the gradient of what the kernels multiplied with to that of the logits: through identity experts, factors, auxiliary losses and the router.
     *
     * @param dSlots gradient of {@link #slotWeights}, [T, k]; may be changed
     * @param in what the experts saw
     * @param dOut gradient of what they gave
     * @param losses gradients of auxiliary losses
     * @param scratch where to allocate
     */
    LogitGradients backward(Matrix dSlots, Matrix in, Matrix dOut, List<LossValue> losses, KernelMemory.Scope scratch);

    /** Frees what was kept. A second call does nothing. */
    @Override
    void close();
}
