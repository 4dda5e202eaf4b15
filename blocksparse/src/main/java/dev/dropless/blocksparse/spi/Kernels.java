package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.topology.TaskRunner;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * An opened back end. Safe for use by several threads at once, as long as no two calls write the same matrix; results
 * are identical, bit
 * for bit, for any number of threads and from run to run.
 *
 * <p>Operands of one call may have different element types: they are converted when read, products accumulate in {@link
 * #accumulation}, and the
 * result is rounded once when written. Operands must lie in {@code memory().space()}, and outputs must not overlap
 * inputs unless an operation says so.
 * NaN and infinities in one row, block or expert reach only the results that depend on it.
 */
public interface Kernels extends AutoCloseable {

    /**
     * Returns the back end these kernels belong to.
     *
     * @return the name
     */
    String name();

    /**
     * Says what was chosen, for people: tier, instruction set, device, threads.
     *
     * @return one line
     */
    String description();

    /**
     * Tells what these kernels counted and checked of themselves, for reports on a machine; may wait for a device.
     *
     * @return values by name; empty if there is nothing to tell
     */
    default Map<String, String> diagnostics() {
        return Map.of();
    }

    /**
     * Returns the type in which products are summed.
     *
     * @return F32 or F64
     */
    ElementType accumulation();

    /**
     * Returns the type in which a layer keeps one row of the experts' width for each slot between two operations: expert outputs from {@link ExpertKernels#down} to {@link
     * ExpertKernels#combine}, gradients of rows from {@link ExpertKernels#upDgrad} to {@link ExpertKernels#aggregate}. Where it is narrower than {@link #accumulation}, each row is
     * rounded once more before the sum over a token's slots, which is still made in {@link #accumulation}; a back end chooses that where its kernels are faster for it or
     * the memory counts.
     *
     * @param weights stored type of the experts
     * @param activations type of their pre-activations and activations
     * @return the type; {@link #accumulation} unless a back end says otherwise
     */
    default ElementType rows(ElementType weights, ElementType activations) {
        return accumulation();
    }

    /**
     * Returns products of dense and block-sparse matrices.
     *
     * @return level 1
     */
    BlockSparseKernels blockSparse();

    /**
     * Returns the fused products of an MoE layer's experts.
     *
     * @return level 2
     */
    ExpertKernels experts();

    /**
     * Returns elementwise work in this back end's memory.
     *
     * @return the operations, or null if this back end has none: its memory is a device's and nothing was written for it
     */
    default @Nullable ElementwiseKernels elementwise() {
        return memory().space().isHost() ? new HostElementwise(tasks()) : null;
    }

    /**
     * Returns the decisions of a router, made where the logits lie.
     *
     * @return the routing kernels, or null if routing for this back end is the host's task
     */
    default @Nullable RoutingKernels routing() {
        return null;
    }

    /**
     * Records what the calling thread asks these kernels to do, to be started later; nothing is computed yet. No other
     * thread may use the kernels meanwhile. Plans cannot be made from topologies of the host, and nothing copied between
     * host and device.
     *
     * @param work what to record
     * @return the recorded work, which the caller closes before the kernels; null if this back end cannot record, and
     *     {@code work} was not run
     * @throws RuntimeException if the work cannot be recorded
     */
    default @Nullable RecordedWork record(Runnable work) {
        return null;
    }

    /**
     * Returns how kernels are launched.
     *
     * @return the choices, or null if there are none
     */
    default @Nullable LaunchTuning tuning() {
        return null;
    }

    /**
     * Returns the memory in which operands must lie.
     *
     * @return the host's or the device's
     */
    KernelMemory memory();

    /**
     * Returns the host threads of these kernels, for work that is not a kernel (topology, routing).
     *
     * @return a runner
     */
    TaskRunner tasks();

    /**
     * Ends the threads and frees what was opened; weights and matrices allocated from it become invalid. A second call
     * does nothing.
     */
    @Override
    void close();
}
