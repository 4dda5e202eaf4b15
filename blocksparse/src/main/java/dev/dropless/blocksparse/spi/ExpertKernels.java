package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/**
 * Level 2 of a back end: the products of an MoE layer's experts, each fused with the gather, activation or weighting
 * beside it. Level 2 equals the
 * composition of level 1 over the block-diagonal matrix of the topology within rounding.
 *
 * <p>Notation: T tokens, k topK, N = topology.rows() rows, H hiddenSize, F ffnHiddenSize, P = shape.preActivations()
 * (F, or 2F where gated: gate
 * columns, then up columns). Row r belongs to token t(r), slot s(r) and expert e(r). w is the combine weight of a slot
 * ([T, k], null means all ones) and v
 * the input weight of a slot ([T, k], null means all ones; Llama 4 scales the expert's input).
 * <pre>
 *   pre[r]    = v[s] x[t] W_e + b_e                           up
 *   hidden[r] = activation(pre[r])
 *   out[r]    = hidden[r] Down_e + downBias_e                 down
 *   y[t]      = sum over j = 0..k-1 of w[t,j] out[row(t,j)]   combine
 * </pre>
 * Unassigned slots contribute nothing. Gradients of weights are added to {@link ExpertWeights} that the caller zeroed
 * once; experts without rows
 * add nothing. Any input or output may be of any element type.
 */
public interface ExpertKernels {

    /**
     * Allocates weights, or gradients of weights, all zero.
     *
     * @param shape sizes
     * @param type stored type
     * @return the weights; the caller closes them
     * @throws IllegalArgumentException if this back end has no layout for that type
     */
    ExpertWeights allocate(ExpertShape shape, ElementType type);

    /**
     * Allocates weights for inference, all zero, whose projections are kept as whole numbers of 8 bits with a scale for each output column of each
     * expert ({@link Int8Columns}); biases stay in single precision. {@link ExpertWeights#load} rounds to them, {@link ExpertWeights#store} gives what
     * they stand for, q s. Products sum x q as they sum other products and multiply by s once; inputs and activations are not rounded.
     *
     * <p>There is no backward pass: gradient operations refuse such weights, and they have no {@link ExpertWeights#storage}.
     *
     * @param shape sizes
     * @return the weights; the caller closes them
     * @throws IllegalArgumentException if this back end has no layout for them
     */
    default ExpertWeights allocateInt8(ExpertShape shape) {
        throw new IllegalArgumentException("int8 weights: expected a back end that has them (cpu, reference), found "
                + getClass().getSimpleName());
    }

    /**
     * Prepares a topology.
     *
     * @param topology who computes what
     * @return the plan; the caller closes it
     */
    ExpertPlan plan(Topology topology);

    /**
     * Up-projection with gather and activation.
     *
     * @param plan of a topology with as many experts as the weights have
     * @param x tokens [T, H]
     * @param inputWeights v [T, k], or null
     * @param weights the experts
     * @param activation their activation
     * @param pre receives pre-activations [N, P], or null where backward will not need them
     * @param hidden receives activations [N, F]
     */
    void up(
            ExpertPlan plan,
            Matrix x,
            @Nullable Matrix inputWeights,
            ExpertWeights weights,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden);

    /**
     * Down-projection.
     *
     * @param plan the plan
     * @param hidden activations [N, F]
     * @param weights the experts
     * @param out receives expert outputs, unweighted [N, H]
     */
    void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out);

    /**
     * Weighted sum over each token's experts, in rank order, accumulated in {@link Kernels#accumulation} and rounded
     * once.
     *
     * @param plan the plan
     * @param out expert outputs [N, H]
     * @param combineWeights w [T, k], or null
     * @param y receives the sums [T, H]; zero for a token without rows
     * @param accumulate whether to add to y
     */
    void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate);

    /**
     * Backward of combine, down-projection and activation, as far as the data goes. With g[r] = dY[t] Down_e^T:
     * <pre>
     *   dCombineWeights[s] = sum over F of hidden[r] g[r]  +  sum over H of downBias_e dY[t]
     *   dPre[r]            = w[s] g[r] * activation'(pre[r])
     * </pre>
     * so that expert outputs need not be kept (SonicMoE, arXiv 2512.14080).
     *
     * @param plan the plan
     * @param dY gradient of y [T, H]
     * @param combineWeights w [T, k], or null
     * @param weights the experts
     * @param activation their activation
     * @param pre pre-activations [N, P]
     * @param hidden activations [N, F]: read, or, if {@code recomputeHidden}, overwritten with activation(pre)
     * @param recomputeHidden whether {@code hidden} is an output
     * @param dPre receives the gradient of pre [N, P]; may be {@code pre}
     * @param dCombineWeights receives the gradient of w [T, k], 0 for unassigned slots; or null
     */
    void downDgrad(
            ExpertPlan plan,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertWeights weights,
            Activation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights);

    /**
     * Weight gradient of the down-projection: dDown_e += sum over r of hidden[r]^T (w[s] dY[t]), ddownBias_e += sum of
     * w[s] dY[t].
     *
     * @param plan the plan
     * @param hidden activations [N, F]
     * @param dY gradient of y [T, H]
     * @param combineWeights w [T, k], or null
     * @param gradients added to: DOWN and DOWN_BIAS
     */
    void downWgrad(ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients);

    /**
     * Data gradient of the up-projection: dRows[r] = dPre[r] W_e^T, without input weights.
     *
     * @param plan the plan
     * @param dPre gradient of pre [N, P]
     * @param weights the experts
     * @param dRows receives the gradient of each row's input [N, H]
     */
    void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows);

    /**
     * Weight gradient of the up-projection: dW_e += sum over r of (v[s] x[t])^T dPre[r], db_e += sum of dPre[r].
     *
     * @param plan the plan
     * @param x tokens [T, H]
     * @param inputWeights v [T, k], or null
     * @param dPre gradient of pre [N, P]
     * @param gradients added to: GATE, UP, GATE_BIAS and UP_BIAS
     */
    void upWgrad(ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients);

    /**
     * Backward of the gather, the sum over each token's rows in rank order:
     * <pre>
     *   dX[t]             = sum over j of v[t,j] dRows[row(t,j)]
     *   dInputWeights[s]  = sum over H of x[t] dRows[r]
     * </pre>
     *
     * @param plan the plan
     * @param dRows gradient of each row's input [N, H]
     * @param inputWeights v [T, k], or null
     * @param x tokens [T, H]; needed for {@code dInputWeights} only, else null
     * @param dX receives the gradient of x [T, H]
     * @param accumulate whether to add to dX
     * @param dInputWeights receives the gradient of v [T, k], 0 for unassigned slots; or null
     */
    void aggregate(
            ExpertPlan plan,
            Matrix dRows,
            @Nullable Matrix inputWeights,
            @Nullable Matrix x,
            Matrix dX,
            boolean accumulate,
            @Nullable Matrix dInputWeights);

    /**
     * The activation alone, for paths that compute the products themselves: hidden = activation(pre), elementwise.
     *
     * @param activation which
     * @param gated whether {@code pre} has up columns after the gate's
     * @param pre pre-activations [M, F], or [M, 2F] where gated
     * @param hidden receives activations [M, F]
     */
    void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden);

    /**
     * Backward of {@link #activate}: dPre = dHidden times the derivative at pre.
     *
     * @param activation which
     * @param gated whether {@code pre} has up columns after the gate's
     * @param pre pre-activations [M, F], or [M, 2F] where gated
     * @param dHidden gradient of the activations [M, F]
     * @param dPre receives the gradient of pre, shaped like it; may be {@code pre}
     */
    void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre);
}
