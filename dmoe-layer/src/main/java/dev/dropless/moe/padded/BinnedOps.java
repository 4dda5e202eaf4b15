package dev.dropless.moe.padded;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.TaskRunner;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** What moves rows between tokens and bins: gather, scatter and their dot products, on host matrices, parallel over rows. */
final class BinnedOps {

    private static final int ROWS_PER_TASK = 64;

    private final TaskRunner tasks;
    private final Bins bins;
    private final int topK;

    BinnedOps(TaskRunner tasks, Bins bins) {
        this.tasks = tasks;
        this.bins = bins;
        this.topK = bins.kept().topK();
    }

    /** What to do with one row, given two buffers of its length. */
    @FunctionalInterface
    private interface Row {
        void run(int row, double[] first, double[] second);
    }

    private void overRows(int rows, long columns, Row body) {
        tasks.run(Math.ceilDiv(rows, ROWS_PER_TASK), task -> {
            double[] first = new double[Math.toIntExact(columns)];
            double[] second = new double[first.length];
            int end = (int) Math.min(rows, (task + 1L) * ROWS_PER_TASK);
            for (int row = task * ROWS_PER_TASK; row < end; row++) {
                body.run(row, first, second);
            }
        });
    }

    private int tokenOf(int slot) {
        return slot / topK;
    }

    private double weight(@Nullable Matrix weights, int slot) {
        return weights == null ? 1 : weights.get(tokenOf(slot), slot % topK);
    }

    /** binned[row] = weight of its slot * tokens[its token]; 0 in padding rows. */
    void gather(Matrix tokens, @Nullable Matrix weights, Matrix binned) {
        overRows(bins.rows(), binned.columns(), (row, values, unused) -> {
            int slot = bins.slotOfRow(row);
            if (slot == Bins.PADDING) {
                Arrays.fill(values, 0);
                binned.setRow(row, values);
            } else if (weights == null) {
                binned.sliceRows(row, 1).copyFrom(tokens.sliceRows(tokenOf(slot), 1));
            } else {
                double factor = weight(weights, slot);
                tokens.getRow(tokenOf(slot), values);
                for (int j = 0; j < values.length; j++) {
                    values[j] *= factor;
                }
                binned.setRow(row, values);
            }
        });
    }

    /** tokens[t] = sum over its slots of weight * binned[row of slot], in rank order; added to tokens if {@code accumulate}. */
    void scatter(Matrix binned, @Nullable Matrix weights, Matrix tokens, boolean accumulate) {
        overRows(bins.kept().tokens(), tokens.columns(), (token, sum, values) -> {
            Arrays.fill(sum, 0);
            if (accumulate) {
                tokens.getRow(token, sum);
            }
            for (int slot = token * topK; slot < (token + 1) * topK; slot++) {
                int row = bins.rowOfSlot(slot);
                if (row >= 0) {
                    double factor = weight(weights, slot);
                    binned.getRow(row, values);
                    for (int j = 0; j < sum.length; j++) {
                        sum[j] += factor * values[j];
                    }
                }
            }
            tokens.setRow(token, sum);
        });
    }

    /** weights[slot] = sum over columns of tokens[its token] * binned[its row]; 0 for slots without a row. */
    void slotDots(Matrix tokens, Matrix binned, Matrix weights) {
        overRows(bins.kept().tokens(), tokens.columns(), (token, x, values) -> {
            tokens.getRow(token, x);
            for (int rank = 0; rank < topK; rank++) {
                int row = bins.rowOfSlot(token * topK + rank);
                double sum = 0;
                if (row >= 0) {
                    binned.getRow(row, values);
                    for (int j = 0; j < x.length; j++) {
                        sum += x[j] * values[j];
                    }
                }
                weights.set(token, rank, sum);
            }
        });
    }
}
