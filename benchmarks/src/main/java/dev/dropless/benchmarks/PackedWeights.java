package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.util.List;

/** A task's weights in a back end's own layout. */
final class PackedWeights {

    private PackedWeights() {}

    /**
     * Allocates and loads.
     *
     * @param experts whose layout
     * @param task whose weights, in its type
     * @param parts which of them; the others are zero
     * @return the weights; the caller closes them
     */
    static ExpertWeights of(ExpertKernels experts, LayerTask task, List<WeightPart> parts) {
        ExpertWeights packed = task.int8()
                ? experts.allocateInt8(task.layer().experts())
                : experts.allocate(task.layer().experts(), task.type());
        load(packed, task, parts);
        return packed;
    }

    /**
     * Loads weights that are there.
     *
     * @param target of the task's shape
     * @param task whose weights
     * @param parts which of them
     */
    static void load(ExpertWeights target, LayerTask task, List<WeightPart> parts) {
        for (WeightPart part : parts) {
            for (int e = 0; target.shape().has(part) && e < target.shape().numExperts(); e++) {
                float[] values = task.weights(part, e);
                int rows = target.shape().rows(part);
                target.load(part, e, Matrix.of(values, rows, target.shape().columns(part)), Transpose.N);
            }
        }
    }
}
