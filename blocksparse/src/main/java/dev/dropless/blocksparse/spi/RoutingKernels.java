package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * A router's decisions, made where the logits lie: with them a layer needs no value of a batch on the host, and waits
 * for none. Ids are those of a router in double precision unless two values differ by less than its rounding; the
 * topology of given ids is that of {@link dev.dropless.topology.TopologyBuilder} bit for bit; weights and gradients are
 * rounded once, to F32.
 */
public interface RoutingKernels {

    /**
     * Tells why a rule is the host's task.
     *
     * @param rule how to route
     * @return one line that names what is not supported, or null if {@link #route} takes the rule
     */
    @Nullable
    String refusal(RoutingRule rule);

    /**
     * Routes a batch and makes its plan.
     *
     * @param rule how
     * @param logits [T, choices]; must stay valid and unchanged until the result is closed
     * @param bias of the logits [1, choices], or null; as the logits
     * @param selectionBias [1, choices], or null where the rule does not select by it; as the logits
     * @return the decision; the caller closes it
     * @throws IllegalArgumentException if the rule is refused, or a shape is wrong
     */
    DeviceRouting route(RoutingRule rule, Matrix logits, @Nullable Matrix bias, @Nullable Matrix selectionBias);

    /**
     * Makes the plan in which every token goes to the one expert there is, that of {@link
     * dev.dropless.topology.Topology#dense}.
     *
     * @param tokens T, 0 or more
     * @return the plan; the caller closes it
     */
    ExpertPlan dense(int tokens);

    /** What was decided for one batch. Everything but {@link #choiceIds} and the plan's topology stays on the device. */
    interface DeviceRouting extends AutoCloseable {

        /**
         * Returns the plan of the experts' work; identity experts have no rows in it.
         *
         * @return the plan, closed with this routing
         */
        ExpertPlan plan();

        /**
         * Returns the weights.
         *
         * @return F32 [T, k], identity experts included; read only
         */
        Matrix weights();

        /**
         * Copies the choices to the host and waits for them.
         *
         * @return a new array [T * k]: ids 0..choices-1, best first within a token
         * @throws IllegalStateException if this is closed, or work is being recorded
         */
        int[] choiceIds();

        /**
         * Takes the gradient of the weights back to the logits; nothing flows through the selection.
         *
         * @param dWeights gradient of {@link #weights}, F32 [T, k]
         * @param more added to it, F32 [T, k], or null
         * @param dLogits receives the gradient of the logits [T, choices]
         * @param accumulate whether to add to dLogits
         */
        void backward(Matrix dWeights, @Nullable Matrix more, Matrix dLogits, boolean accumulate);

        /**
         * Adds what identity experts compute: y[t] += factor (sum of the weights of t's identity slots) x[t]. Tokens
         * without such a slot are not touched.
         *
         * @param factor of all of it
         * @param x [T, H]
         * @param y added to, [T, H]
         */
        void addIdentity(double factor, Matrix x, Matrix y);

        /**
         * The gradient of the weights of identity slots: dWeights[slot] = factor &lt;x[t], dY[t]&gt;.
         *
         * @param factor as in {@link #addIdentity}
         * @param x [T, H]
         * @param dY gradient of y [T, H]
         * @param dWeights F32 [T, k]; elements of other slots are not touched
         */
        void identityGradient(double factor, Matrix x, Matrix dY, Matrix dWeights);

        /** Frees everything. A second call does nothing. */
        @Override
        void close();
    }
}
