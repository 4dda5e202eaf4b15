package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import java.lang.foreign.Arena;

/** All experts' weights as plain row-major matrices in the orientation y = x W, gate columns beside up columns. */
public final class DenseWeights {

    private final Matrix up;
    private final Matrix down;
    private final int hiddenSize;
    private final int ffn;

    /**
     * Makes the weights of a task in single precision.
     *
     * @param task whose weights
     * @param arena owner of the memory
     */
    public DenseWeights(LayerTask task, Arena arena) {
        hiddenSize = task.layer().hiddenSize();
        ffn = task.layer().ffnHiddenSize();
        int experts = task.layer().numExperts();
        up = Matrix.allocate(
                arena,
                ElementType.F32,
                (long) experts * hiddenSize,
                task.layer().experts().preActivations());
        down = Matrix.allocate(arena, ElementType.F32, (long) experts * ffn, hiddenSize);
        for (int e = 0; e < experts; e++) {
            up(e).sliceColumns(0, ffn).copyFrom(Matrix.of(task.weights(WeightPart.GATE, e), hiddenSize, ffn));
            if (task.layer().gated()) {
                up(e).sliceColumns(ffn, ffn).copyFrom(Matrix.of(task.weights(WeightPart.UP, e), hiddenSize, ffn));
            }
            down(e).copyFrom(Matrix.of(task.weights(WeightPart.DOWN, e), ffn, hiddenSize));
        }
    }

    /**
     * Returns an expert's gate and up projections.
     *
     * @param expert 0..E-1
     * @return [H, P]
     */
    public Matrix up(int expert) {
        return up.sliceRows((long) expert * hiddenSize, hiddenSize);
    }

    /**
     * Returns an expert's down-projection.
     *
     * @param expert 0..E-1
     * @return [F, H]
     */
    public Matrix down(int expert) {
        return down.sliceRows((long) expert * ffn, ffn);
    }
}
