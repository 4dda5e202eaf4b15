package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** gradient_e += sum over the rows of e of weight[row] times some columns of a matrix: the items are the experts, each computed by one thread. */
final class BiasGradients extends RangeTask {

    private final ExpertRows rows = new ExpertRows();
    private int column;
    private int columns;
    private Storage gradient = Nothing.STORAGE;

    BiasGradients(ProductRunner runner) {
        super(runner);
    }

    /** Where the rows of the experts come from; {@link #add} then takes its columns. */
    BiasGradients of(Topology topology, Matrix matrix, boolean byToken, @Nullable Matrix weights) {
        rows.set(topology, matrix, byToken, weights);
        return this;
    }

    /** Adds up columns first..first+count-1, unless there is no such bias. */
    void add(int first, int count, @Nullable Storage target) {
        if (target != null) {
            column = first;
            columns = count;
            gradient = target;
            run();
        }
    }

    @Override
    public void clear() {
        rows.clear();
        gradient = Nothing.STORAGE;
    }

    @Override
    int items() {
        return rows.topology().numExperts();
    }

    @Override
    int pieces(int threads) {
        return items();
    }

    @Override
    void compute(int from, int to, Scratch scratch) {
        Topology topology = rows.topology();
        for (int expert = from; expert < to; expert++) {
            if (topology.tokensPerExpert(expert) > 0) {
                float[] sum = scratch.buffer(0, columns);
                float[] row = scratch.buffer(1, columns);
                gradient.read(expert * columns, columns, sum, 0);
                for (int r = topology.offset(expert); r < topology.offset(expert + 1); r++) {
                    long source = rows.matrixRow(r);
                    Rows.read(kernels, rows.matrix(), source, column, columns, scratch.bufferStorage(1), 0);
                    kernels.axpy(columns, rows.weight(r), row, 0, sum, 0);
                }
                gradient.write(sum, 0, columns, expert * columns);
            }
        }
    }
}
