package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.Arena;

/** This library's dense product, which packs the weights at every call. */
final class GemmProducts implements ExpertProducts {

    private final Arena arena = Arena.ofShared();
    private final Kernels kernels;
    private final DenseWeights weights;

    GemmProducts(Kernels kernels, LayerTask task) {
        this.kernels = kernels;
        this.weights = new DenseWeights(task, arena);
    }

    @Override
    public Matrix up(int expert, Matrix rows, Matrix pre) {
        kernels.blockSparse().gemm(rows, Transpose.N, weights.up(expert), Transpose.N, pre, false);
        return pre;
    }

    @Override
    public Matrix down(int expert, Matrix hidden, Matrix out) {
        kernels.blockSparse().gemm(hidden, Transpose.N, weights.down(expert), Transpose.N, out, false);
        return out;
    }

    @Override
    public String description() {
        return "dropless gemm, " + kernels.description();
    }

    @Override
    public void close() {
        kernels.close();
        arena.close();
    }
}
