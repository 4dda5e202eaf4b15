package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import org.jspecify.annotations.Nullable;

/** Products of the expert path: which kernel, with which arguments. Operands are checked and of one type; weights of slots are addresses of dense floats, 0 for none. */
sealed interface ExpertEngine permits PortableExperts, HopperExperts {

    /**
     * Hidden rows of tokens.
     *
     * @param plan which rows
     * @param type of the operands
     * @param x [T, H]
     * @param scale v
     * @param weights W [E * P, H]
     * @param bias [E, P]
     * @param activation between them
     * @param pre [N, P], result
     * @param hidden [N, F], result
     * @param shape of the experts
     */
    record Up(
            CudaExpertPlan plan,
            ElementType type,
            Matrix x,
            long scale,
            Matrix weights,
            @Nullable Matrix bias,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden,
            ExpertShape shape) {}

    /**
     * Output rows.
     *
     * @param plan which rows
     * @param type of the operands
     * @param hidden [N, F]
     * @param weights D [E * H, F]
     * @param bias [E, H]
     * @param out [N, H], result
     * @param shape of the experts
     */
    record Down(
            CudaExpertPlan plan,
            ElementType type,
            Matrix hidden,
            Matrix weights,
            @Nullable Matrix bias,
            Matrix out,
            ExpertShape shape) {}

    /**
     * Gradients of pre-activations.
     *
     * @param plan which rows
     * @param type of the operands
     * @param dY [T, H]
     * @param scale w
     * @param weights D [E * H, F]
     * @param pre [N, P]
     * @param hidden [N, F], read or made
     * @param recompute whether it is made
     * @param dPre [N, P], result
     * @param partial address of sums [ceil(F / 128), T * k], or 0
     * @param activation between pre and hidden
     * @param shape of the experts
     */
    record DownDgrad(
            CudaExpertPlan plan,
            ElementType type,
            Matrix dY,
            long scale,
            Matrix weights,
            Matrix pre,
            Matrix hidden,
            boolean recompute,
            Matrix dPre,
            long partial,
            Activation activation,
            ExpertShape shape) {}

    /**
     * Gradients of rows.
     *
     * @param plan which rows
     * @param type of the operands
     * @param dPre [N, P]
     * @param weights W [E * P, H]
     * @param dRows [N, H], result
     * @param shape of the experts
     */
    record UpDgrad(
            CudaExpertPlan plan, ElementType type, Matrix dPre, Matrix weights, Matrix dRows, ExpertShape shape) {}

    /**
     * Gradients of weights, which are added to.
     *
     * @param plan which rows
     * @param type of the operands
     * @param tokens x or dY [T, H]
     * @param rows dPre [N, P] or hidden [N, F]
     * @param scale v or w
     * @param gradient dW [E * P, H] or dD [E * H, F]
     */
    record WeightGradient(
            CudaExpertPlan plan, ElementType type, Matrix tokens, Matrix rows, long scale, Matrix gradient) {}

    /** hidden = activation(v x W^T + bias). */
    void up(Up operands);

    /** out = hidden D^T + bias. */
    void down(Down operands);

    /** dPre from dY D; sums of hidden with it. */
    void downDgrad(DownDgrad operands);

    /** dRows = dPre W. */
    void upDgrad(UpDgrad operands);

    /** dW += dPre^T v x. */
    void upWgrad(WeightGradient operands);

    /** dD += w dY^T hidden. */
    void downWgrad(WeightGradient operands);
}
