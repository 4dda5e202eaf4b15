package dev.dropless.benchmarks.peers;

import dev.dropless.benchmarks.ExpertProducts;
import dev.dropless.benchmarks.GemmArm;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import java.lang.foreign.Arena;

/** Experts' products with weights packed once by oneDNN. Primitives are made in the first run, for each number of rows. */
final class OneDnnProducts implements ExpertProducts {

    private final OneDnn library;
    private final OneDnn.Packed up;
    private final OneDnn.Packed down;

    OneDnnProducts(LayerTask task) {
        library = new OneDnn(task.threads());
        int h = task.layer().hiddenSize();
        int f = task.layer().ffnHiddenSize();
        int p = task.layer().experts().preActivations();
        int experts = task.layer().numExperts();
        int mean = Math.max(1, task.tokens() * task.layer().topK() / experts);
        up = library.new Packed(experts, h, p, task.type(), mean);
        down = library.new Packed(experts, f, h, task.type(), mean);
        try (Arena arena = Arena.ofConfined()) {
            Matrix gateUp = Matrix.allocate(arena, ElementType.F32, h, p);
            Matrix plain = Matrix.allocate(arena, ElementType.F32, f, h);
            for (int e = 0; e < experts; e++) {
                gateUp.sliceColumns(0, f).copyFrom(Matrix.of(task.weights(WeightPart.GATE, e), h, f));
                if (task.layer().gated()) {
                    gateUp.sliceColumns(f, f).copyFrom(Matrix.of(task.weights(WeightPart.UP, e), h, f));
                }
                up.load(e, gateUp);
                plain.copyFrom(Matrix.of(task.weights(WeightPart.DOWN, e), f, h));
                down.load(e, plain);
            }
        }
    }

    @Override
    public Matrix up(int expert, Matrix rows, Matrix pre) {
        up.multiply(expert, rows, pre);
        return pre;
    }

    @Override
    public Matrix down(int expert, Matrix hidden, Matrix out) {
        down.multiply(expert, hidden, out);
        return out;
    }

    @Override
    public String description() {
        return library.description() + ", packed weights";
    }

    @Override
    public void close() {
        up.close();
        down.close();
        library.close();
    }

    /** A dense product with B packed once. */
    static GemmArm.Gemm gemm(GemmTask task) {
        OneDnn library = new OneDnn(task.threads());
        OneDnn.Packed packed = library.new Packed(1, task.k(), task.n(), ElementType.F32, task.m());
        try (Arena arena = Arena.ofConfined()) {
            packed.load(0, task.newB(arena));
        }
        return new GemmArm.Gemm() {
            @Override
            public void multiply(Matrix a, Matrix b, Matrix c) {
                packed.multiply(0, a, c);
            }

            @Override
            public String description() {
                return library.description() + ", B packed before";
            }

            @Override
            public void close() {
                packed.close();
                library.close();
            }
        };
    }
}
