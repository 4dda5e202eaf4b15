package dev.dropless.moe.padded;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.TaskRunner;
import org.jspecify.annotations.Nullable;

/** What a padded layer does beside matrix products: gather, scatter and activation, on host matrices, parallel over rows. */
final class BinnedOps {

    private static final int ROWS_PER_TASK = 64;

    private final TaskRunner tasks;
    private final Bins bins;

    BinnedOps(TaskRunner tasks, Bins bins) {
        this.tasks = tasks;
        this.bins = bins;
    }

    /** What to do with one row. */
    @FunctionalInterface
    private interface Row {
        void run(int row);
    }

    private void overRows(int rows, Row body) {
        int count = Math.ceilDiv(rows, ROWS_PER_TASK);
        tasks.run(count, task -> {
            int end = Math.min(rows, (task + 1) * ROWS_PER_TASK);
            for (int row = task * ROWS_PER_TASK; row < end; row++) {
                body.run(row);
            }
        });
    }

    private int tokenOf(int slot) {
        return slot / bins.kept().topK();
    }

    private double weight(@Nullable Matrix weights, int slot) {
        return weights == null
                ? 1
                : weights.get(tokenOf(slot), slot % bins.kept().topK());
    }

    /** binned[row] = weight of its slot * tokens[its token]; 0 in padding rows. */
    void gather(Matrix tokens, @Nullable Matrix weights, Matrix binned) {
        overRows(bins.rows(), row -> {
            int slot = bins.slotOfRow(row);
            if (slot == Bins.PADDING) {
                binned.sliceRows(row, 1).fill(0);
            } else if (weights == null) {
                binned.sliceRows(row, 1).copyFrom(tokens.sliceRows(tokenOf(slot), 1));
            } else {
                double factor = weight(weights, slot);
                for (long j = 0; j < binned.columns(); j++) {
                    binned.set(row, j, factor * tokens.get(tokenOf(slot), j));
                }
            }
        });
    }

    /** tokens[t] = sum over its slots of weight * binned[row of slot], in rank order; added to tokens if {@code accumulate}. */
    void scatter(Matrix binned, @Nullable Matrix weights, Matrix tokens, boolean accumulate) {
        int topK = bins.kept().topK();
        overRows(bins.kept().tokens(), token -> {
            for (long j = 0; j < tokens.columns(); j++) {
                double sum = accumulate ? tokens.get(token, j) : 0;
                for (int slot = token * topK; slot < (token + 1) * topK; slot++) {
                    int row = bins.rowOfSlot(slot);
                    if (row >= 0) {
                        sum += weight(weights, slot) * binned.get(row, j);
                    }
                }
                tokens.set(token, j, sum);
            }
        });
    }

    /** weights[slot] = sum over columns of tokens[its token] * binned[its row]; 0 for slots without a row. */
    void slotDots(Matrix tokens, Matrix binned, Matrix weights) {
        int topK = bins.kept().topK();
        overRows(bins.kept().tokens(), token -> {
            for (int rank = 0; rank < topK; rank++) {
                int row = bins.rowOfSlot(token * topK + rank);
                double sum = 0;
                for (long j = 0; row >= 0 && j < tokens.columns(); j++) {
                    sum += tokens.get(token, j) * binned.get(row, j);
                }
                weights.set(token, rank, sum);
            }
        });
    }

    /** hidden = activation(pre), in every row: padding is computed too. */
    void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        long ffn = hidden.columns();
        overRows(bins.rows(), row -> {
            for (long j = 0; j < ffn; j++) {
                double a = pre.get(row, j);
                hidden.set(
                        row,
                        j,
                        gated
                                ? ActivationMath.hidden(activation, a, pre.get(row, ffn + j))
                                : ActivationMath.hidden(activation, a));
            }
        });
    }

    /** dPre = dHidden * activation'(pre); dPre may be pre. */
    void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        long ffn = dHidden.columns();
        overRows(bins.rows(), row -> {
            for (long j = 0; j < ffn; j++) {
                double a = pre.get(row, j);
                double gradient = dHidden.get(row, j);
                if (gated) {
                    double b = pre.get(row, ffn + j);
                    dPre.set(row, j, gradient * ActivationMath.dGate(activation, a, b));
                    dPre.set(row, ffn + j, gradient * ActivationMath.dUp(activation, a, b));
                } else {
                    dPre.set(row, j, gradient * ActivationMath.dHidden(activation, a));
                }
            }
        });
    }
}
