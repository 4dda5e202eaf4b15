package dev.dropless.moe.sparse;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/**
 * The expert path over the block-diagonal matrix of a topology, every product an SDD or a DSD of a back end (MegaBlocks, arXiv 2211.15841, section 5). With
 * X gathered [N, H], weights [E * F, H] and S the pattern:
 * <pre>
 *   pre   = SDD(X, Gate^T)            out   = DSD(hidden, Down)
 *   g     = SDD(dY gathered, Down^T)  dX    = DSD(dPre, Gate)
 *   dDown = DSD(hidden^T, w dY)       dGate = DSD(dPre^T, X)
 * </pre>
 * Biases, gather and scatter are elementwise on the host, in double precision. Simple rather than fast: it shows that the block-sparse operations
 * suffice, and judges the fused path.
 */
public final class BlockSparseExperts implements ExpertKernels {

    private final Kernels kernels;
    private final BlockSparseKernels products;
    private final int blockSize;
    private final boolean padded;

    /**
     * Composes the expert path of a back end's block-sparse products.
     *
     * @param kernels whose products, memory and accumulation type to use; not closed
     * @param blockSize B, height and width of a block, 1 or more
     * @param padded whether every expert's rows are rounded up to B
     * @throws IllegalArgumentException if {@code blockSize} is below 1 or the kernels do not compute in host memory
     */
    public BlockSparseExperts(Kernels kernels, int blockSize, boolean padded) {
        if (blockSize < 1) {
            throw new IllegalArgumentException("blockSize: expected at least 1, found " + blockSize);
        }
        if (!kernels.memory().space().isHost()) {
            throw new IllegalArgumentException(
                    "kernels: expected host memory, found " + kernels.memory().space());
        }
        this.kernels = kernels;
        this.products = kernels.blockSparse();
        this.blockSize = blockSize;
        this.padded = padded;
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        return new BlockSparseExpertWeights(shape, type, kernels.memory());
    }

    @Override
    public ExpertPlan plan(Topology topology) {
        return new BlockSparsePlan(topology, blockSize, padded);
    }

    @Override
    public void up(
            ExpertPlan plan,
            Matrix x,
            @Nullable Matrix inputWeights,
            ExpertWeights weights,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden) {
        try (Call call = new Call(plan, weights)) {
            Matrix rows = call.gather(x, inputWeights);
            Matrix sums = pre != null ? pre : call.dense(call.rows(), call.shape.preActivations());
            call.sdd(rows, WeightPart.GATE, call.gate(sums));
            call.addBias(WeightPart.GATE_BIAS, call.gate(sums));
            if (call.shape.gated()) {
                call.sdd(rows, WeightPart.UP, call.up(sums));
                call.addBias(WeightPart.UP_BIAS, call.up(sums));
            }
            activate(activation, call.shape.gated(), sums, hidden);
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        try (Call call = new Call(plan, weights)) {
            Matrix rows = call.dense(call.permutation().rows(), call.shape.hiddenSize());
            products.dsd(call.sparse(hidden), Transpose.N, call.weights.all(WeightPart.DOWN), Transpose.N, rows, false);
            call.plan.compact(rows, out);
            call.addBias(WeightPart.DOWN_BIAS, out);
        }
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        RowPermutation.exact(plan.topology()).scatter(out, combineWeights, y, accumulate);
    }

    @Override
    public void downDgrad(
            ExpertPlan plan,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertWeights weights,
            Activation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights) {
        try (Call call = new Call(plan, weights)) {
            Matrix dHidden = call.dense(call.rows(), call.shape.ffnHiddenSize());
            call.sdd(call.gather(dY, null), WeightPart.DOWN, dHidden);
            if (recomputeHidden) {
                activate(activation, call.shape.gated(), pre, hidden);
            }
            if (dCombineWeights != null) {
                call.dCombineWeights(dY, hidden, dHidden, dCombineWeights);
            }
            call.dActivate(activation, pre, dHidden, combineWeights, dPre);
        }
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        try (Call call = new Call(plan, gradients)) {
            Matrix dOut = call.gather(dY, combineWeights);
            products.dsd(call.sparse(hidden), Transpose.T, dOut, Transpose.N, call.weights.all(WeightPart.DOWN), true);
            if (call.shape.has(WeightPart.DOWN_BIAS)) {
                Matrix compact = call.dense(call.rows(), call.shape.hiddenSize());
                call.plan.compact(dOut, compact);
                call.sumRows(compact, WeightPart.DOWN_BIAS);
            }
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        try (Call call = new Call(plan, weights)) {
            Matrix rows = call.dense(call.permutation().rows(), call.shape.hiddenSize());
            products.dsd(
                    call.sparse(call.gate(dPre)),
                    Transpose.N,
                    call.weights.all(WeightPart.GATE),
                    Transpose.N,
                    rows,
                    false);
            if (call.shape.gated()) {
                products.dsd(
                        call.sparse(call.up(dPre)),
                        Transpose.N,
                        call.weights.all(WeightPart.UP),
                        Transpose.N,
                        rows,
                        true);
            }
            call.plan.compact(rows, dRows);
        }
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        try (Call call = new Call(plan, gradients)) {
            Matrix rows = call.gather(x, inputWeights);
            call.wgrad(call.gate(dPre), rows, WeightPart.GATE, WeightPart.GATE_BIAS);
            if (call.shape.gated()) {
                call.wgrad(call.up(dPre), rows, WeightPart.UP, WeightPart.UP_BIAS);
            }
        }
    }

    @Override
    public void aggregate(
            ExpertPlan plan,
            Matrix dRows,
            @Nullable Matrix inputWeights,
            @Nullable Matrix x,
            Matrix dX,
            boolean accumulate,
            @Nullable Matrix dInputWeights) {
        RowPermutation permutation = RowPermutation.exact(plan.topology());
        permutation.scatter(dRows, inputWeights, dX, accumulate);
        if (dInputWeights != null) {
            if (x == null) {
                throw new IllegalArgumentException("x: expected the tokens where dInputWeights is wanted, found null");
            }
            permutation.dWeights(dRows, x, dInputWeights, false);
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        kernels.experts().activate(activation, gated, pre, hidden);
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        kernels.experts().activateBackward(activation, gated, pre, dHidden, dPre);
    }

    /** One operation: its operands in this class's own types, and scratch that ends with it. */
    private final class Call implements AutoCloseable {

        final BlockSparsePlan plan;
        final BlockSparseExpertWeights weights;
        final ExpertShape shape;
        final KernelMemory.Scope scope = kernels.memory().open();

        Call(ExpertPlan plan, ExpertWeights weights) {
            if (!(plan instanceof BlockSparsePlan own) || !(weights instanceof BlockSparseExpertWeights ownWeights)) {
                scope.close();
                throw new IllegalArgumentException("plan, weights: expected those this path made, found %s, %s"
                        .formatted(
                                plan.getClass().getSimpleName(),
                                weights.getClass().getSimpleName()));
            }
            this.plan = own;
            this.weights = ownWeights;
            this.shape = weights.shape();
            if (plan.topology().numExperts() != shape.numExperts()) {
                scope.close();
                throw new IllegalArgumentException("plan: expected %d experts, found %d"
                        .formatted(shape.numExperts(), plan.topology().numExperts()));
            }
        }

        RowPermutation permutation() {
            return plan.permutation();
        }

        int rows() {
            return plan.topology().rows();
        }

        Matrix dense(long rows, long columns) {
            return scope.allocate(kernels.accumulation(), rows, columns);
        }

        Matrix gather(Matrix x, @Nullable Matrix slotWeights) {
            Matrix rows = dense(permutation().rows(), x.columns());
            permutation().gather(x, slotWeights, rows);
            return rows;
        }

        Matrix gate(Matrix pre) {
            return pre.sliceColumns(0, shape.ffnHiddenSize());
        }

        Matrix up(Matrix pre) {
            return pre.sliceColumns(shape.ffnHiddenSize(), shape.ffnHiddenSize());
        }

        BlockSparseMatrix sparse(Matrix values) {
            BlockSparseMatrix sparse = plan.allocate(scope, kernels.accumulation(), shape.ffnHiddenSize());
            plan.toBlocks(values, sparse);
            return sparse;
        }

        /** result [N, F] = the stored blocks of rows part^T. */
        void sdd(Matrix rows, WeightPart part, Matrix result) {
            BlockSparseMatrix sparse = plan.allocate(scope, kernels.accumulation(), shape.ffnHiddenSize());
            products.sdd(rows, Transpose.N, weights.all(part), Transpose.T, sparse);
            plan.fromBlocks(sparse, result);
        }

        /** part += dPre^T rows, and the bias likewise. */
        void wgrad(Matrix dPre, Matrix rows, WeightPart part, WeightPart bias) {
            products.dsd(sparse(dPre), Transpose.T, rows, Transpose.N, weights.all(part), true);
            if (shape.has(bias)) {
                sumRows(dPre, bias);
            }
        }

        void addBias(WeightPart part, Matrix values) {
            if (!shape.has(part)) {
                return;
            }
            Matrix bias = weights.all(part);
            for (int row = 0; row < rows(); row++) {
                int expert = plan.topology().expertOfRow(row);
                for (long j = 0; j < values.columns(); j++) {
                    values.set(row, j, values.get(row, j) + bias.get(expert, j));
                }
            }
        }

        void sumRows(Matrix values, WeightPart part) {
            Matrix bias = weights.all(part);
            for (int expert = 0; expert < shape.numExperts(); expert++) {
                for (long j = 0; j < values.columns(); j++) {
                    double sum = bias.get(expert, j);
                    for (int row = plan.topology().offset(expert);
                            row < plan.topology().offset(expert + 1);
                            row++) {
                        sum += values.get(row, j);
                    }
                    bias.set(expert, j, sum);
                }
            }
        }

        /** dHidden becomes w dHidden, then dPre the gradient of pre. */
        void dActivate(Activation activation, Matrix pre, Matrix dHidden, @Nullable Matrix combine, Matrix dPre) {
            if (combine != null) {
                double[] values = new double[shape.ffnHiddenSize()];
                for (int row = 0; row < rows(); row++) {
                    double weight =
                            permutation().weight(combine, plan.topology().slotOfRow(row));
                    dHidden.getRow(row, values);
                    for (int j = 0; j < values.length; j++) {
                        values[j] *= weight;
                    }
                    dHidden.setRow(row, values);
                }
            }
            kernels.experts().activateBackward(activation, shape.gated(), pre, dHidden, dPre);
        }

        /** dCombineWeights[s] = hidden[r] . dHidden[r] + downBias . dY[t]. */
        void dCombineWeights(Matrix dY, Matrix hidden, Matrix dHidden, Matrix result) {
            Topology topology = plan.topology();
            result.fill(0);
            for (int row = 0; row < rows(); row++) {
                double sum = 0;
                for (long j = 0; j < hidden.columns(); j++) {
                    sum += hidden.get(row, j) * dHidden.get(row, j);
                }
                if (shape.has(WeightPart.DOWN_BIAS)) {
                    Matrix bias = weights.all(WeightPart.DOWN_BIAS);
                    for (long j = 0; j < dY.columns(); j++) {
                        sum += bias.get(topology.expertOfRow(row), j) * dY.get(topology.tokenOfRow(row), j);
                    }
                }
                int slot = topology.slotOfRow(row);
                result.set(slot / topology.topK(), slot % topology.topK(), sum);
            }
        }

        @Override
        public void close() {
            scope.close();
        }
    }
}
