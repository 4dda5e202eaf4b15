package dev.dropless.moe;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Every assigned slot is one row, no row is padding: the block-sparse expert path of the back end. */
final class DroplessExecution implements ExpertExecution {

    private final Kernels kernels;
    private final ExpertWeights weights;
    private final Activation activation;
    private final ElementType activationType;

    DroplessExecution(Kernels kernels, ExpertWeights weights, Activation activation, ElementType activationType) {
        this.kernels = kernels;
        this.weights = weights;
        this.activation = activation;
        this.activationType = activationType;
    }

    @Override
    public ExpertShape shape() {
        return weights.shape();
    }

    @Override
    public ExpertBatch open(Topology topology, Keep keep) {
        return open(kernels.experts().plan(topology), keep);
    }

    /** Prepares a batch whose plan there is already; the batch closes it. */
    ExpertBatch open(ExpertPlan plan, Keep keep) {
        return new Batch(plan, keep);
    }

    @Override
    public void close() {
        // Nothing is held: the weights belong to the parameters.
    }

    private final class Batch implements ExpertBatch {
        private final ExpertKernels experts = kernels.experts();
        private final KernelMemory.Scope saved = kernels.memory().open();
        private final ExpertPlan plan;
        /** Assigned slots; where a device routed, all slots. */
        private final int rows;

        private final @Nullable Matrix savedPre;
        private final @Nullable Matrix savedHidden;

        Batch(ExpertPlan plan, Keep keep) {
            this.plan = plan;
            rows = plan.sizes().rows();
            Matrix pre = null;
            Matrix hidden = null;
            boolean opened = false;
            try {
                pre = keep.preActivations() ? newPre(saved) : null;
                hidden = keep.activations() ? newHidden(saved) : null;
                opened = true;
            } finally {
                if (!opened) {
                    close();
                }
            }
            savedPre = pre;
            savedHidden = hidden;
        }

        private Matrix newPre(KernelMemory.Scope scope) {
            return scope.allocate(activationType, rows, shape().preActivations());
        }

        private Matrix newHidden(KernelMemory.Scope scope) {
            return scope.allocate(activationType, rows, shape().ffnHiddenSize());
        }

        /** One row of the experts' width for each slot, in the type that the back end sums them from. */
        private Matrix newRows(KernelMemory.Scope scope) {
            ElementType type = kernels.rows(weights.type(), activationType);
            return scope.allocate(type, rows, shape().hiddenSize());
        }

        @Override
        public Topology topology() {
            return plan.topology();
        }

        @Override
        public void forward(Inputs in, Matrix y, boolean accumulate) {
            try (KernelMemory.Scope scratch = kernels.memory().open()) {
                // All memory first: where this is recorded in a graph, the kernels then follow each other directly.
                Matrix hidden = savedHidden != null ? savedHidden : newHidden(scratch);
                Matrix out = newRows(scratch);
                experts.up(plan, in.x(), in.inputWeights(), weights, activation, savedPre, hidden);
                experts.down(plan, hidden, weights, out);
                experts.combine(plan, out, in.combineWeights(), y, accumulate);
            }
        }

        @Override
        public void backward(Inputs in, Matrix dY, Gradients out) {
            try (KernelMemory.Scope scratch = kernels.memory().open()) {
                if (out.needsData()) {
                    Matrix dPre = downBackward(in, dY, out, scratch);
                    upBackward(in, dPre, out, scratch);
                } else if (out.down() != null) {
                    Matrix hidden = savedHidden;
                    if (hidden == null) {
                        hidden = newHidden(scratch);
                        experts.up(plan, in.x(), in.inputWeights(), weights, activation, null, hidden);
                    }
                    experts.downWgrad(plan, hidden, dY, in.combineWeights(), out.down());
                }
            }
        }

        /** Turns the pre-activations into their gradient, in place: they are used once. */
        private Matrix downBackward(Inputs in, Matrix dY, Gradients out, KernelMemory.Scope scratch) {
            Matrix hidden = savedHidden != null ? savedHidden : newHidden(scratch);
            Matrix pre = savedPre;
            boolean recomputeHidden = savedHidden == null;
            if (pre == null) {
                pre = newPre(scratch);
                experts.up(plan, in.x(), in.inputWeights(), weights, activation, pre, hidden);
                recomputeHidden = false;
            }
            experts.downDgrad(
                    plan,
                    dY,
                    in.combineWeights(),
                    weights,
                    activation,
                    pre,
                    hidden,
                    recomputeHidden,
                    pre,
                    out.dCombineWeights());
            if (out.down() != null) {
                experts.downWgrad(plan, hidden, dY, in.combineWeights(), out.down());
            }
            return pre;
        }

        private void upBackward(Inputs in, Matrix dPre, Gradients out, KernelMemory.Scope scratch) {
            if (out.up() != null) {
                experts.upWgrad(plan, in.x(), in.inputWeights(), dPre, out.up());
            }
            Matrix dX = out.dX();
            if (dX == null && out.dInputWeights() == null) {
                return;
            }
            Matrix dRows = newRows(scratch);
            experts.upDgrad(plan, dPre, weights, dRows);
            if (dX == null) {
                dX = scratch.allocate(
                        kernels.accumulation(), in.x().rows(), in.x().columns());
            }
            Matrix x = out.dInputWeights() == null ? null : in.x();
            boolean accumulate = out.dX() != null && out.accumulate();
            experts.aggregate(plan, dRows, in.inputWeights(), x, dX, accumulate, out.dInputWeights());
        }

        @Override
        public void close() {
            plan.close();
            saved.close();
        }
    }
}
