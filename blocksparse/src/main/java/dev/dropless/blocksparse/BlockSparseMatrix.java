package dev.dropless.blocksparse;

import dev.dropless.topology.BlockPattern;
import java.lang.foreign.Arena;

/**
 * A block-sparse matrix: a pattern of blocks and their data. A view, like {@link Matrix}.
 *
 * @param pattern which blocks are stored
 * @param data the blocks one after the other, each row-major, as one row of {@code pattern.elements()} elements
 */
public record BlockSparseMatrix(BlockPattern pattern, Matrix data) {

    /**
     * Checks the length of the data.
     *
     * @throws IllegalArgumentException if {@code data} is not [1, pattern.elements()]
     */
    public BlockSparseMatrix {
        if (data.rows() != 1 || data.columns() != pattern.elements()) {
            throw new IllegalArgumentException(
                    "data: expected [1, %d], found %s".formatted(pattern.elements(), data.describe()));
        }
    }

    /**
     * A block-sparse matrix in new native memory, all blocks zero.
     *
     * @param arena owner of the memory
     * @param pattern which blocks are stored
     * @param type element type
     * @return the matrix
     */
    public static BlockSparseMatrix allocate(Arena arena, BlockPattern pattern, ElementType type) {
        return new BlockSparseMatrix(pattern, Matrix.allocate(arena, type, 1, pattern.elements()));
    }

    /**
     * A view of one block.
     *
     * @param block 0..blocks-1
     * @return the block, [height, width]
     */
    public Matrix block(int block) {
        int width = pattern.width(pattern.columnOf(block));
        return new Matrix(
                data.segment(),
                data.type(),
                data.offset() + pattern.dataOffset(block),
                pattern.height(pattern.rowOf(block)),
                width,
                width,
                data.space());
    }

    /**
     * Returns the number of rows.
     *
     * @return rows of the whole matrix
     */
    public long rows() {
        return pattern.rows();
    }

    /**
     * Returns the number of columns.
     *
     * @return columns of the whole matrix
     */
    public long columns() {
        return pattern.columns();
    }
}
