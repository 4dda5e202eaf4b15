package dev.dropless.moe.sparse;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.topology.BlockPattern;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;

/** One batch's block-diagonal matrix: its rows, and for an expert width its pattern of blocks. Holds no memory. */
final class BlockSparsePlan implements ExpertPlan {

    private final Topology topology;
    private final int blockSize;
    private final boolean padded;
    private final RowPermutation permutation;

    BlockSparsePlan(Topology topology, int blockSize, boolean padded) {
        this.topology = topology;
        this.blockSize = blockSize;
        this.padded = padded;
        this.permutation = padded ? RowPermutation.padded(topology, blockSize) : RowPermutation.exact(topology);
    }

    @Override
    public Topology topology() {
        return topology;
    }

    RowPermutation permutation() {
        return permutation;
    }

    /** The pattern of [rows, E * F]: one dense block of columns per expert. */
    private BlockPattern pattern(int ffnHiddenSize) {
        return padded
                ? MoeBlockPattern.padded(topology, blockSize, ffnHiddenSize)
                : MoeBlockPattern.exact(topology, blockSize, ffnHiddenSize);
    }

    /** A sparse matrix [rows, E * F] whose content is undefined. */
    BlockSparseMatrix allocate(KernelMemory.Scope scope, ElementType type, int ffnHiddenSize) {
        BlockPattern pattern = pattern(ffnHiddenSize);
        return new BlockSparseMatrix(pattern, scope.allocate(type, 1, pattern.elements()));
    }

    /** Puts the rows' values [N, F] where the sparse matrix has them; rows of padding become 0. */
    void toBlocks(Matrix values, BlockSparseMatrix sparse) {
        for (int block = 0; block < sparse.pattern().blocks(); block++) {
            Matrix stored = sparse.block(block);
            long column = sparse.pattern().columnOffset(sparse.pattern().columnOf(block)) % values.columns();
            long firstRow = sparse.pattern().rowOffset(sparse.pattern().rowOf(block));
            for (int i = 0; i < stored.rows(); i++) {
                int slot = permutation.slotOfRow((int) firstRow + i);
                if (slot < 0) {
                    stored.sliceRows(i, 1).fill(0);
                } else {
                    stored.sliceRows(i, 1)
                            .copyFrom(values.slice(topology.rowOfSlot(slot), 1, column, stored.columns()));
                }
            }
        }
    }

    /** The inverse of {@link #toBlocks}; rows of padding are left out. */
    void fromBlocks(BlockSparseMatrix sparse, Matrix values) {
        for (int block = 0; block < sparse.pattern().blocks(); block++) {
            Matrix stored = sparse.block(block);
            long column = sparse.pattern().columnOffset(sparse.pattern().columnOf(block)) % values.columns();
            long firstRow = sparse.pattern().rowOffset(sparse.pattern().rowOf(block));
            for (int i = 0; i < stored.rows(); i++) {
                int slot = permutation.slotOfRow((int) firstRow + i);
                if (slot >= 0) {
                    values.slice(topology.rowOfSlot(slot), 1, column, stored.columns())
                            .copyFrom(stored.sliceRows(i, 1));
                }
            }
        }
    }

    /** Copies the rows that are no padding. */
    void compact(Matrix rows, Matrix values) {
        for (int row = 0; row < permutation.rows(); row++) {
            int slot = permutation.slotOfRow(row);
            if (slot >= 0) {
                values.sliceRows(topology.rowOfSlot(slot), 1).copyFrom(rows.sliceRows(row, 1));
            }
        }
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
