package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** One batch on its way through a group of experts: {@link #forward} once, then {@link #backward} at most once, by one thread at a time. */
public interface ExpertBatch extends AutoCloseable {

    /**
     * Returns the assignments that are computed.
     *
     * @return the topology given, or one with fewer rows where a capacity dropped some
     */
    Topology topology();

    /**
     * Computes y[t] = sum over j of w[t,j] expert(v[t,j] x[t]).
     *
     * @param in what goes in
     * @param y receives the result, [T, H]
     * @param accumulate whether to add to y
     */
    void forward(Inputs in, Matrix y, boolean accumulate);

    /**
     * Computes gradients.
     *
     * @param in what went into {@link #forward}, unchanged
     * @param dY gradient of y, [T, H]
     * @param out what is wanted; no more than what the batch was opened for
     */
    void backward(Inputs in, Matrix dY, Gradients out);

    /** Frees what was kept. A second call does nothing. */
    @Override
    void close();

    /**
     * What goes into a group of experts.
     *
     * @param x tokens, [T, H]
     * @param inputWeights v, [T, k], or null for all ones
     * @param combineWeights w, [T, k], or null for all ones
     */
    record Inputs(
            Matrix x,
            @Nullable Matrix inputWeights,
            @Nullable Matrix combineWeights) {}

    /**
     * What backward computes: whatever is not null.
     *
     * @param up added to: gradients of gate and up projections
     * @param down added to: gradients of the down-projection; may be the same object as {@code up}
     * @param dX gradient of x, [T, H]
     * @param accumulate whether to add to dX
     * @param dInputWeights receives the gradient of v, [T, k]
     * @param dCombineWeights receives the gradient of w, [T, k]
     */
    record Gradients(
            @Nullable ExpertWeights up,
            @Nullable ExpertWeights down,
            @Nullable Matrix dX,
            boolean accumulate,
            @Nullable Matrix dInputWeights,
            @Nullable Matrix dCombineWeights) {

        /**
         * Tells whether the gradient of the pre-activations is needed.
         *
         * @return true if anything but {@code down} is wanted
         */
        public boolean needsData() {
            return up != null || dX != null || dInputWeights != null || dCombineWeights != null;
        }
    }
}
