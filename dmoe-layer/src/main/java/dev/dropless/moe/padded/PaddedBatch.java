package dev.dropless.moe.padded;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.moe.ExpertBatch;
import dev.dropless.moe.ExpertExecution.Keep;
import dev.dropless.topology.Topology;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** One batch of a padded execution. Backward is written the plain way, from kept expert outputs, and so is a check on the fused one. */
final class PaddedBatch implements ExpertBatch {

    private final PaddedExecution execution;
    private final Bins bins;
    private final BinnedOps ops;
    private final boolean keeps;
    private final KernelMemory.Scope saved;
    private @Nullable Kept kept;

    /** What forward computed, all [E * C, ...]. */
    private record Kept(Matrix x, Matrix pre, Matrix hidden, Matrix out) {}

    PaddedBatch(PaddedExecution execution, Bins bins, Keep keep) {
        this.execution = execution;
        this.bins = bins;
        this.ops = new BinnedOps(execution.kernels().tasks(), bins);
        this.keeps = keep.dataGradient() || keep.downGradient();
        this.saved = execution.kernels().memory().open();
    }

    private ExpertShape shape() {
        return execution.shape();
    }

    private ElementType wide() {
        return execution.kernels().accumulation();
    }

    @Override
    public Topology topology() {
        return bins.kept();
    }

    @Override
    public void forward(Inputs in, Matrix y, boolean accumulate) {
        try (KernelMemory.Scope scratch = execution.kernels().memory().open()) {
            Kept computed = compute(in, keeps ? saved : scratch);
            ops.scatter(computed.out, in.combineWeights(), y, accumulate);
            kept = keeps ? computed : null;
        }
    }

    private Kept compute(Inputs in, KernelMemory.Scope scope) {
        int rows = bins.rows();
        DenseExperts weights = execution.weights();
        ElementType xType = in.inputWeights() == null ? in.x().type() : wide();
        Matrix x = scope.allocate(xType, rows, shape().hiddenSize());
        ops.gather(in.x(), in.inputWeights(), x);
        Matrix pre = scope.allocate(execution.activationType(), rows, shape().preActivations());
        weights.multiply(x, WeightPart.GATE, Transpose.N, gate(pre), false);
        weights.addBias(WeightPart.GATE_BIAS, gate(pre));
        if (shape().gated()) {
            weights.multiply(x, WeightPart.UP, Transpose.N, up(pre), false);
            weights.addBias(WeightPart.UP_BIAS, up(pre));
        }
        Matrix hidden = scope.allocate(execution.activationType(), rows, shape().ffnHiddenSize());
        execution.kernels().experts().activate(execution.activation(), shape().gated(), pre, hidden);
        Matrix out = scope.allocate(wide(), rows, shape().hiddenSize());
        weights.multiply(hidden, WeightPart.DOWN, Transpose.N, out, false);
        weights.addBias(WeightPart.DOWN_BIAS, out);
        return new Kept(x, pre, hidden, out);
    }

    private Matrix gate(Matrix pre) {
        return pre.sliceColumns(0, shape().ffnHiddenSize());
    }

    private Matrix up(Matrix pre) {
        return pre.sliceColumns(shape().ffnHiddenSize(), shape().ffnHiddenSize());
    }

    @Override
    public void backward(Inputs in, Matrix dY, Gradients out) {
        Kept forward = Objects.requireNonNull(kept, "nothing was kept for backward");
        if (out.dCombineWeights() != null) {
            ops.slotDots(dY, forward.out, out.dCombineWeights());
        }
        try (KernelMemory.Scope scratch = execution.kernels().memory().open()) {
            Matrix dOut = scratch.allocate(wide(), bins.rows(), shape().hiddenSize());
            ops.gather(dY, in.combineWeights(), dOut);
            if (out.down() != null) {
                downWgrad(forward, dOut, out.down());
            }
            if (out.up() != null || out.dX() != null || out.dInputWeights() != null) {
                upBackward(in, forward, dOut, out, scratch);
            }
        }
    }

    private void upBackward(Inputs in, Kept forward, Matrix dOut, Gradients out, KernelMemory.Scope scratch) {
        DenseExperts weights = execution.weights();
        Matrix dHidden = scratch.allocate(execution.activationType(), bins.rows(), shape().ffnHiddenSize());
        weights.multiply(dOut, WeightPart.DOWN, Transpose.T, dHidden, false);
        Matrix dPre = forward.pre; // used once
        execution
                .kernels()
                .experts()
                .activateBackward(execution.activation(), shape().gated(), forward.pre, dHidden, dPre);
        if (out.up() != null) {
            upWgrad(forward, dPre, out.up());
        }
        if (out.dX() == null && out.dInputWeights() == null) {
            return;
        }
        Matrix dRows = scratch.allocate(wide(), bins.rows(), shape().hiddenSize());
        weights.multiply(gate(dPre), WeightPart.GATE, Transpose.T, dRows, false);
        if (shape().gated()) {
            weights.multiply(up(dPre), WeightPart.UP, Transpose.T, dRows, true);
        }
        if (out.dX() != null) {
            ops.scatter(dRows, in.inputWeights(), out.dX(), out.accumulate());
        }
        if (out.dInputWeights() != null) {
            ops.slotDots(in.x(), dRows, out.dInputWeights());
        }
    }

    private void downWgrad(Kept forward, Matrix dOut, ExpertWeights gradients) {
        try (DenseExperts dense = new DenseExperts(execution.kernels(), shape(), gradients.type())) {
            dense.export(gradients, WeightPart.DOWN);
            dense.export(gradients, WeightPart.DOWN_BIAS);
            dense.addWeightGradient(forward.hidden, dOut, WeightPart.DOWN);
            dense.addBiasGradient(dOut, WeightPart.DOWN_BIAS);
            dense.importInto(gradients, WeightPart.DOWN);
            dense.importInto(gradients, WeightPart.DOWN_BIAS);
        }
    }

    private void upWgrad(Kept forward, Matrix dPre, ExpertWeights gradients) {
        try (DenseExperts dense = new DenseExperts(execution.kernels(), shape(), gradients.type())) {
            upWgrad(forward, gate(dPre), dense, gradients, WeightPart.GATE, WeightPart.GATE_BIAS);
            if (shape().gated()) {
                upWgrad(forward, up(dPre), dense, gradients, WeightPart.UP, WeightPart.UP_BIAS);
            }
        }
    }

    private static void upWgrad(
            Kept forward, Matrix dPre, DenseExperts dense, ExpertWeights gradients, WeightPart part, WeightPart bias) {
        dense.export(gradients, part);
        dense.export(gradients, bias);
        dense.addWeightGradient(forward.x, dPre, part);
        dense.addBiasGradient(dPre, bias);
        dense.importInto(gradients, part);
        dense.importInto(gradients, bias);
    }

    @Override
    public void close() {
        saved.close();
    }
}
