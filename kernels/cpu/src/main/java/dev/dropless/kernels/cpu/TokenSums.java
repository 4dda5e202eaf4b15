package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** What is not a matrix product: sums over a token's rows in rank order, gradients of slot weights and of biases. One thread computes a token or a bias. */
final class TokenSums {

    /** Tokens are handed out in this many pieces per thread. */
    private static final int PIECES_PER_THREAD = 4;

    private final TileKernels kernels;
    private final ProductRunner runner;

    TokenSums(ProductRunner runner) {
        this.kernels = runner.kernels();
        this.runner = runner;
    }

    /** Work on the tokens from..to-1. */
    private interface TokenTask {
        void run(int from, int to, Scratch scratch);
    }

    private void forTokens(int tokens, TokenTask task) {
        int pieces = Math.min(tokens, runner.tasks().parallelism() * PIECES_PER_THREAD);
        runner.tasks().run(pieces, piece -> {
            Scratch scratch = runner.scratches().take();
            task.run((int) ((long) tokens * piece / pieces), (int) ((long) tokens * (piece + 1) / pieces), scratch);
            runner.scratches().give(scratch);
        });
    }

    /** y[t] (+)= sum over ranks j of weight[t,j] rows[row(t,j)]. */
    void rows(Matrix rows, SlotWeights weights, Matrix y, boolean accumulate) {
        Topology topology = weights.topology();
        int columns = Math.toIntExact(y.columns());
        forTokens(topology.tokens(), (from, to, scratch) -> {
            float[] sum = scratch.buffer(0, columns);
            float[] row = scratch.buffer(1, columns);
            for (int t = from; t < to; t++) {
                if (accumulate) {
                    Rows.read(kernels, y, t, 0, columns, sum, 0);
                } else {
                    Arrays.fill(sum, 0, columns, 0f);
                }
                for (int slot = t * topology.topK(); slot < (t + 1) * topology.topK(); slot++) {
                    int source = topology.rowOfSlot(slot);
                    if (source != Topology.UNASSIGNED) {
                        Rows.read(kernels, rows, source, 0, columns, row, 0);
                        kernels.axpy(columns, weights.ofSlot(slot), row, 0, sum, 0);
                    }
                }
                Rows.write(kernels, sum, 0, columns, y, t, 0);
            }
        });
    }

    /** gradient[s] = sum over panels of dots[row][panel] + downBias dY[t]; 0 for unassigned slots. */
    void combineWeightGradients(
            Topology topology, float[] dots, int panels, @Nullable Storage bias, Matrix dY, Matrix gradient) {
        int h = Math.toIntExact(dY.columns());
        forTokens(topology.tokens(), (from, to, scratch) -> {
            float[] dToken = scratch.buffer(0, h);
            float[] biasRow = scratch.buffer(1, h);
            for (int t = from; t < to; t++) {
                if (bias != null) {
                    Rows.read(kernels, dY, t, 0, h, dToken, 0);
                }
                for (int j = 0; j < topology.topK(); j++) {
                    int row = topology.rowOfSlot(t * topology.topK() + j);
                    float sum = 0;
                    if (row != Topology.UNASSIGNED) {
                        for (int p = 0; p < panels; p++) {
                            sum += dots[row * panels + p];
                        }
                        if (bias != null) {
                            bias.read(topology.expertOfRow(row) * h, h, biasRow, 0);
                            sum += kernels.dot(h, biasRow, 0, dToken, 0, scratch.lanes);
                        }
                    }
                    gradient.set(t, j, sum);
                }
            }
        });
    }

    /** gradient[s] = x[t] dRows[row]; 0 for unassigned slots. */
    void inputWeightGradients(Topology topology, Matrix x, Matrix dRows, Matrix gradient) {
        int h = Math.toIntExact(x.columns());
        forTokens(topology.tokens(), (from, to, scratch) -> {
            float[] token = scratch.buffer(0, h);
            float[] dRow = scratch.buffer(1, h);
            for (int t = from; t < to; t++) {
                Rows.read(kernels, x, t, 0, h, token, 0);
                for (int j = 0; j < topology.topK(); j++) {
                    int row = topology.rowOfSlot(t * topology.topK() + j);
                    float sum = 0;
                    if (row != Topology.UNASSIGNED) {
                        Rows.read(kernels, dRows, row, 0, h, dRow, 0);
                        sum = kernels.dot(h, token, 0, dRow, 0, scratch.lanes);
                    }
                    gradient.set(t, j, sum);
                }
            }
        });
    }

    /** gradient_e += sum over the rows of e of weight[row] side[row], columns column..column+n-1. */
    void biasGradients(Topology topology, WgradProduct.Side side, int column, @Nullable Storage gradient, int n) {
        if (gradient == null) {
            return;
        }
        runner.tasks().run(topology.numExperts(), expert -> {
            if (topology.tokensPerExpert(expert) == 0) {
                return;
            }
            Scratch scratch = runner.scratches().take();
            float[] sum = scratch.buffer(0, n);
            float[] row = scratch.buffer(1, n);
            gradient.read(expert * n, n, sum, 0);
            for (int r = topology.offset(expert); r < topology.offset(expert + 1); r++) {
                Rows.read(kernels, side.matrix(), side.matrixRow(r), column, n, row, 0);
                kernels.axpy(n, side.weights().ofRow(r), row, 0, sum, 0);
            }
            gradient.write(sum, 0, n, expert * n);
            runner.scratches().give(scratch);
        });
    }
}
