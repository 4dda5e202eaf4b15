package dev.dropless.blocksparse.spi;

import static dev.dropless.blocksparse.spi.Operands.apart;
import static dev.dropless.blocksparse.spi.Operands.mismatch;
import static dev.dropless.blocksparse.spi.Operands.shape;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.topology.TopologySizes;
import org.jspecify.annotations.Nullable;

/**
 * Entry checks of {@link ExpertKernels} and {@link ExpertWeights}, the same for every back end. Arguments are those of
 * the operation, after the memory
 * space in which matrices must lie; plans stand for the sizes of their topology, weights for their shape. Every method throws {@link
 * IllegalArgumentException}
 * whose message names argument, expected and found.
 */
public final class ExpertOperands {

    private ExpertOperands() {}

    /**
     * Checks {@link ExpertKernels#up}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param x tokens [T, H]
     * @param inputWeights [T, k], or null
     * @param weights shape of the experts
     * @param pre [N, P], or null
     * @param hidden [N, F]
     */
    public static void up(
            MemorySpace space,
            TopologySizes topology,
            Matrix x,
            @Nullable Matrix inputWeights,
            ExpertShape weights,
            @Nullable Matrix pre,
            Matrix hidden) {
        experts(topology, weights);
        shape("x", x, space, topology.tokens(), weights.hiddenSize());
        slots("inputWeights", inputWeights, space, topology);
        rows("pre", pre, space, topology, weights.preActivations());
        rows("hidden", hidden, space, topology, weights.ffnHiddenSize());
        apart("pre", pre, "x", x);
        apart("pre", pre, "inputWeights", inputWeights);
        apart("hidden", hidden, "x", x);
        apart("hidden", hidden, "inputWeights", inputWeights);
        apart("hidden", hidden, "pre", pre);
    }

    /**
     * Checks {@link ExpertKernels#down}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param hidden [N, F]
     * @param weights shape of the experts
     * @param out [N, H]
     */
    public static void down(MemorySpace space, TopologySizes topology, Matrix hidden, ExpertShape weights, Matrix out) {
        experts(topology, weights);
        rows("hidden", hidden, space, topology, weights.ffnHiddenSize());
        rows("out", out, space, topology, weights.hiddenSize());
        apart("out", out, "hidden", hidden);
    }

    /**
     * Checks {@link ExpertKernels#combine}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param out [N, H]
     * @param combineWeights [T, k], or null
     * @param y [T, H]
     */
    public static void combine(
            MemorySpace space, TopologySizes topology, Matrix out, @Nullable Matrix combineWeights, Matrix y) {
        rows("out", out, space, topology, out.columns());
        slots("combineWeights", combineWeights, space, topology);
        shape("y", y, space, topology.tokens(), out.columns());
        apart("y", y, "out", out);
        apart("y", y, "combineWeights", combineWeights);
    }

    /**
     * Checks {@link ExpertKernels#downDgrad}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param dY [T, H]
     * @param combineWeights [T, k], or null
     * @param weights shape of the experts
     * @param pre [N, P]
     * @param hidden [N, F]
     * @param recomputeHidden whether {@code hidden} is an output
     * @param dPre [N, P]; {@code pre} itself, or apart from it
     * @param dCombineWeights [T, k], or null
     */
    public static void downDgrad(
            MemorySpace space,
            TopologySizes topology,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertShape weights,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights) {
        experts(topology, weights);
        shape("dY", dY, space, topology.tokens(), weights.hiddenSize());
        slots("combineWeights", combineWeights, space, topology);
        rows("pre", pre, space, topology, weights.preActivations());
        rows("hidden", hidden, space, topology, weights.ffnHiddenSize());
        rows("dPre", dPre, space, topology, weights.preActivations());
        slots("dCombineWeights", dCombineWeights, space, topology);
        if (!dPre.equals(pre)) {
            apart("dPre", dPre, "pre", pre);
        }
        apart("dPre", dPre, "dY", dY);
        apart("dPre", dPre, "combineWeights", combineWeights);
        apart("dPre", dPre, "hidden", hidden);
        if (recomputeHidden) {
            apart("hidden", hidden, "pre", pre);
            apart("hidden", hidden, "dY", dY);
            apart("hidden", hidden, "combineWeights", combineWeights);
        }
        apart("dCombineWeights", dCombineWeights, "dY", dY);
        apart("dCombineWeights", dCombineWeights, "combineWeights", combineWeights);
        apart("dCombineWeights", dCombineWeights, "pre", pre);
        apart("dCombineWeights", dCombineWeights, "hidden", hidden);
        apart("dCombineWeights", dCombineWeights, "dPre", dPre);
    }

    /**
     * Checks {@link ExpertKernels#downWgrad}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param hidden [N, F]
     * @param dY [T, H]
     * @param combineWeights [T, k], or null
     * @param gradients shape of the gradients
     */
    public static void downWgrad(
            MemorySpace space,
            TopologySizes topology,
            Matrix hidden,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertShape gradients) {
        experts(topology, gradients);
        rows("hidden", hidden, space, topology, gradients.ffnHiddenSize());
        shape("dY", dY, space, topology.tokens(), gradients.hiddenSize());
        slots("combineWeights", combineWeights, space, topology);
    }

    /**
     * Checks {@link ExpertKernels#upDgrad}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param dPre [N, P]
     * @param weights shape of the experts
     * @param dRows [N, H]
     */
    public static void upDgrad(
            MemorySpace space, TopologySizes topology, Matrix dPre, ExpertShape weights, Matrix dRows) {
        experts(topology, weights);
        rows("dPre", dPre, space, topology, weights.preActivations());
        rows("dRows", dRows, space, topology, weights.hiddenSize());
        apart("dRows", dRows, "dPre", dPre);
    }

    /**
     * Checks {@link ExpertKernels#upWgrad}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param x [T, H]
     * @param inputWeights [T, k], or null
     * @param dPre [N, P]
     * @param gradients shape of the gradients
     */
    public static void upWgrad(
            MemorySpace space,
            TopologySizes topology,
            Matrix x,
            @Nullable Matrix inputWeights,
            Matrix dPre,
            ExpertShape gradients) {
        experts(topology, gradients);
        shape("x", x, space, topology.tokens(), gradients.hiddenSize());
        slots("inputWeights", inputWeights, space, topology);
        rows("dPre", dPre, space, topology, gradients.preActivations());
    }

    /**
     * Checks {@link ExpertKernels#aggregate}.
     *
     * @param space memory of the back end
     * @param topology who computes what
     * @param dRows [N, H]
     * @param inputWeights [T, k], or null
     * @param x [T, H]; may be null where {@code dInputWeights} is
     * @param dX [T, H]
     * @param dInputWeights [T, k], or null
     */
    public static void aggregate(
            MemorySpace space,
            TopologySizes topology,
            Matrix dRows,
            @Nullable Matrix inputWeights,
            @Nullable Matrix x,
            Matrix dX,
            @Nullable Matrix dInputWeights) {
        rows("dRows", dRows, space, topology, dRows.columns());
        slots("inputWeights", inputWeights, space, topology);
        shape("dX", dX, space, topology.tokens(), dRows.columns());
        slots("dInputWeights", dInputWeights, space, topology);
        if (x != null) {
            shape("x", x, space, topology.tokens(), dRows.columns());
        } else if (dInputWeights != null) {
            throw mismatch("x", "the tokens, which dInputWeights needs", "null");
        }
        apart("dX", dX, "dRows", dRows);
        apart("dX", dX, "inputWeights", inputWeights);
        apart("dX", dX, "x", x);
        apart("dInputWeights", dInputWeights, "dRows", dRows);
        apart("dInputWeights", dInputWeights, "inputWeights", inputWeights);
        apart("dInputWeights", dInputWeights, "x", x);
        apart("dInputWeights", dInputWeights, "dX", dX);
    }

    /**
     * Checks {@link ExpertKernels#activate}.
     *
     * @param space memory of the back end
     * @param gated whether there are up columns
     * @param pre [M, F], or [M, 2F]
     * @param hidden [M, F]
     */
    public static void activate(MemorySpace space, boolean gated, Matrix pre, Matrix hidden) {
        shape("hidden", hidden, space, hidden.rows(), hidden.columns());
        shape("pre", pre, space, hidden.rows(), gated ? 2 * hidden.columns() : hidden.columns());
        apart("hidden", hidden, "pre", pre);
    }

    /**
     * Checks {@link ExpertKernels#activateBackward}.
     *
     * @param space memory of the back end
     * @param gated whether there are up columns
     * @param pre [M, F], or [M, 2F]
     * @param dHidden [M, F]
     * @param dPre like {@code pre}: {@code pre} itself, or apart from it
     */
    public static void activateBackward(MemorySpace space, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        shape("dHidden", dHidden, space, dHidden.rows(), dHidden.columns());
        shape("pre", pre, space, dHidden.rows(), gated ? 2 * dHidden.columns() : dHidden.columns());
        shape("dPre", dPre, space, pre.rows(), pre.columns());
        if (!dPre.equals(pre)) {
            apart("dPre", dPre, "pre", pre);
        }
        apart("dPre", dPre, "dHidden", dHidden);
    }

    /**
     * Checks {@link ExpertWeights#load} and {@link ExpertWeights#store}.
     *
     * @param shape of the weights
     * @param part which weights
     * @param expert index of the expert
     * @param argument name of the matrix
     * @param matrix source or target, on the host
     * @param transpose its orientation
     */
    public static void part(
            ExpertShape shape, WeightPart part, int expert, String argument, Matrix matrix, Transpose transpose) {
        if (!shape.has(part)) {
            throw mismatch("part", "one of the parts of " + shape, part);
        }
        if (expert < 0 || expert >= shape.numExperts()) {
            throw mismatch("expert", "0.." + (shape.numExperts() - 1), expert);
        }
        int rows = transpose == Transpose.N ? shape.rows(part) : shape.columns(part);
        int columns = transpose == Transpose.N ? shape.columns(part) : shape.rows(part);
        shape(argument, matrix, MemorySpace.HOST, rows, columns);
    }

    /**
     * Checks weights or gradients of an operation of the backward pass.
     *
     * @param argument their name
     * @param weights must not be {@link ExpertWeights#isInt8}
     */
    public static void trainable(String argument, ExpertWeights weights) {
        if (weights.isInt8()) {
            throw mismatch(argument, "weights with a backward pass", "int8 ones, which serve the forward pass only");
        }
    }

    /**
     * Refuses {@link ExpertWeights#storage} of {@link ExpertWeights#isInt8} weights.
     *
     * @return what to throw
     */
    public static IllegalStateException noStorage() {
        return new IllegalStateException(
                "int8 weights have no storage for elementwise work: load or store them part by part");
    }

    private static void experts(TopologySizes topology, ExpertShape weights) {
        if (topology.numExperts() != weights.numExperts()) {
            throw mismatch(
                    "plan", weights.numExperts() + " experts, as many as the weights have", topology.numExperts());
        }
    }

    private static void rows(
            String argument, @Nullable Matrix matrix, MemorySpace space, TopologySizes topology, long columns) {
        if (matrix != null) {
            shape(argument, matrix, space, topology.rows(), columns);
        }
    }

    private static void slots(String argument, @Nullable Matrix matrix, MemorySpace space, TopologySizes topology) {
        if (matrix != null) {
            shape(argument, matrix, space, topology.tokens(), topology.topK());
        }
    }
}
