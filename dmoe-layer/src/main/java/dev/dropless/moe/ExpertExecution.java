package dev.dropless.moe;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.topology.Topology;

/**
 * How a group of experts is computed. The dropless way is built in; {@link dev.dropless.moe.padded.PaddedExecution} is the other one. Everything else of a layer
 * (routing, shared expert, losses) is the same for both.
 *
 * <p>Safe for use by several threads with separate batches.
 */
public interface ExpertExecution extends AutoCloseable {

    /**
     * Returns the sizes of the experts.
     *
     * @return the shape
     */
    ExpertShape shape();

    /**
     * Prepares a batch.
     *
     * @param topology the router's assignments
     * @param keep what backward will be asked for; {@link Keep#NOTHING} for inference
     * @return the batch; the caller closes it
     */
    ExpertBatch open(Topology topology, Keep keep);

    /** Frees what this way of computing holds beside the parameters, which are not its own. */
    @Override
    void close();

    /**
     * What backward will be asked for, so that forward keeps no more than that.
     *
     * @param policy what to keep rather than compute again
     * @param dataGradient whether anything will be asked for that needs the gradient of the pre-activations
     * @param downGradient whether the gradient of the down-projection will be asked for
     */
    record Keep(MemoryPolicy policy, boolean dataGradient, boolean downGradient) {
        /** No backward. */
        public static final Keep NOTHING = new Keep(MemoryPolicy.RECOMPUTE_UP_PROJECTION, false, false);

        /**
         * Tells whether forward keeps the pre-activations.
         *
         * @return true if backward needs them and the policy keeps them
         */
        public boolean preActivations() {
            return dataGradient && policy.keepsPreActivations();
        }

        /**
         * Tells whether forward keeps the activations. Where only the down-projection trains, they are kept in place of the pre-activations.
         *
         * @return true if backward needs them and the policy keeps them
         */
        public boolean activations() {
            return dataGradient ? policy.keepsActivations() : downGradient && policy.keepsPreActivations();
        }
    }
}
