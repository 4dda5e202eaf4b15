package dev.dropless.moe.sparse;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.PaddedRows;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Moves data between tokens and the rows that experts compute, rows of padding included: gather, scatter, and their gradients. Host memory only; sums are
 * in double precision and in rank order, rounded once.
 *
 * <p>Row r holds slot s(r), or is padding; slot = token * k + rank.
 */
public final class RowPermutation {

    private static final int PADDING = PaddedRows.PADDING;

    private final int tokens;
    private final int topK;
    private final int[] slotOfRow;
    private final int[] rowOfSlot;

    private RowPermutation(int tokens, int topK, int[] slotOfRow) {
        this.tokens = tokens;
        this.topK = topK;
        this.slotOfRow = slotOfRow;
        this.rowOfSlot = new int[tokens * topK];
        Arrays.fill(rowOfSlot, Topology.UNASSIGNED);
        for (int row = 0; row < slotOfRow.length; row++) {
            if (slotOfRow[row] != PADDING) {
                rowOfSlot[slotOfRow[row]] = row;
            }
        }
    }

    /**
     * The rows of a topology, none of them padding.
     *
     * @param topology the topology
     * @return the permutation, with {@code topology.rows()} rows
     */
    public static RowPermutation exact(Topology topology) {
        return new RowPermutation(topology.tokens(), topology.topK(), topology.slotOfRow());
    }

    /**
     * The rows of a topology with every expert's rows rounded up to a multiple; the rows after an expert's last are padding.
     *
     * @param topology the topology
     * @param multiple 1 or more
     * @return the permutation
     * @throws IllegalArgumentException if {@code multiple} is below 1 or there would be more than 2^31 - 1 rows
     */
    public static RowPermutation padded(Topology topology, int multiple) {
        return new RowPermutation(
                topology.tokens(),
                topology.topK(),
                PaddedRows.of(topology, multiple).slotSource());
    }

    /**
     * Returns the number of rows.
     *
     * @return rows, padding included
     */
    public int rows() {
        return slotOfRow.length;
    }

    /**
     * Returns the slot of a row.
     *
     * @param row 0..rows-1
     * @return token * k + rank, or -1 for padding
     */
    public int slotOfRow(int row) {
        return slotOfRow[row];
    }

    /**
     * rows[r] = weights[s(r)] * x[s(r) / k]; padding rows become 0. It is also the gradient of {@link #scatter} with respect to the rows.
     *
     * @param x [T, n]
     * @param weights [T, k], or null for ones
     * @param rows receives [rows, n]
     */
    public void gather(Matrix x, @Nullable Matrix weights, Matrix rows) {
        for (int row = 0; row < slotOfRow.length; row++) {
            int slot = slotOfRow[row];
            Matrix target = rows.sliceRows(row, 1);
            if (slot == PADDING) {
                target.fill(0);
                continue;
            }
            Matrix source = x.sliceRows(slot / topK, 1);
            if (weights == null) {
                target.copyFrom(source);
                continue;
            }
            double weight = weight(weights, slot);
            for (long j = 0; j < x.columns(); j++) {
                target.set(0, j, weight * source.get(0, j));
            }
        }
    }

    /**
     * y[t] = sum over ranks j of weights[t, j] * rows[row(t, j)], in rank order. Without weights it is also the gradient of {@link #gather}.
     *
     * @param rows [rows, n]; padding rows are not read
     * @param weights [T, k], or null for ones
     * @param y receives [T, n]; 0 for a token without rows
     * @param accumulate whether to add to y
     */
    public void scatter(Matrix rows, @Nullable Matrix weights, Matrix y, boolean accumulate) {
        double[] sums = new double[Math.toIntExact(y.columns())];
        for (int token = 0; token < tokens; token++) {
            for (int j = 0; j < sums.length; j++) {
                sums[j] = accumulate ? y.get(token, j) : 0;
            }
            for (int slot = token * topK; slot < (token + 1) * topK; slot++) {
                if (rowOfSlot[slot] != Topology.UNASSIGNED) {
                    double weight = weights == null ? 1 : weight(weights, slot);
                    for (int j = 0; j < sums.length; j++) {
                        sums[j] += weight * rows.get(rowOfSlot[slot], j);
                    }
                }
            }
            for (int j = 0; j < sums.length; j++) {
                y.set(token, j, sums[j]);
            }
        }
    }

    /**
     * The gradient of {@link #scatter} with respect to the weights: dWeights[t, j] = rows[row(t, j)] . dY[t], 0 for unassigned slots.
     *
     * @param rows [rows, n]; padding rows are not read
     * @param dY [T, n]
     * @param dWeights receives [T, k]
     * @param accumulate whether to add to dWeights
     */
    public void dWeights(Matrix rows, Matrix dY, Matrix dWeights, boolean accumulate) {
        for (int token = 0; token < tokens; token++) {
            for (int rank = 0; rank < topK; rank++) {
                int row = rowOfSlot[token * topK + rank];
                double sum = accumulate ? dWeights.get(token, rank) : 0;
                if (row != Topology.UNASSIGNED) {
                    for (long j = 0; j < dY.columns(); j++) {
                        sum += rows.get(row, j) * dY.get(token, j);
                    }
                }
                dWeights.set(token, rank, sum);
            }
        }
    }

    /** The weight of a slot in a [T, k] matrix. */
    double weight(Matrix weights, int slot) {
        return weights.get(slot / topK, slot % topK);
    }
}
