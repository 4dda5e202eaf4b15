package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.router.Routing;
import java.util.List;

/** Tokens, results and gradients of a batch in the memory of one back end, host or device. */
final class Batch implements AutoCloseable {

    private final KernelMemory memory;
    private final KernelMemory.Scope scope;
    private final MoeGradients gradients;
    private final Matrix x;
    private final Matrix dY;
    private final Matrix y;
    private final Matrix dX;

    /** Copies the first tokens of x and dY, and allocates the rest for layers like {@code layer}. */
    Batch(Kernels kernels, MoeLayer layer, ElementType type, int tokens, Matrix x, Matrix dY) {
        this.memory = kernels.memory();
        this.scope = memory.open();
        this.gradients = layer.newGradients(Trainable.all(), type);
        this.x = copied(type, tokens, x);
        this.dY = copied(type, tokens, dY);
        this.y = scope.allocate(type, tokens, x.columns());
        this.dX = scope.allocate(type, tokens, x.columns());
    }

    private Matrix copied(ElementType type, int tokens, Matrix values) {
        Matrix matrix = scope.allocate(type, tokens, values.columns());
        memory.copy(values.sliceRows(0, tokens), matrix);
        return matrix;
    }

    Routing route(MoeLayer layer) {
        return layer.forward(x, y, ForwardOptions.evaluation());
    }

    SavedState forward(MoeLayer layer) {
        SavedState saved =
                layer.forwardTraining(x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
        await(y);
        return saved;
    }

    void backward(MoeLayer layer, SavedState saved) {
        layer.backward(saved, dY, dX, gradients, List.of());
        await(dX);
    }

    /** A device works on while the host goes on; what it has computed can be read once it is there. */
    private void await(Matrix result) {
        if (!memory.space().isHost()) {
            read(result.sliceRows(0, 1));
        }
    }

    /** Computes forward and backward from gradients of zero. */
    Outcome compute(MoeLayer layer) {
        gradients.zero();
        backward(layer, forward(layer));
        return new Outcome(
                read(y), read(dX), read(Outcome.router(gradients)), Outcome.experts(layer.config(), gradients));
    }

    private double[] read(Matrix matrix) {
        return Parameters.read(memory, matrix);
    }

    @Override
    public void close() {
        gradients.close();
        scope.close();
    }
}
