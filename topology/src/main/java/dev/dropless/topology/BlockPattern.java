package dev.dropless.topology;

/**
 * Where the stored blocks of a block-sparse matrix lie: blocked compressed rows (BCSR) with the transposed order
 * beside it.
 *
 * <p>Blocks are numbered row by row, and by column inside a row. The rows and the columns of the matrix are each cut
 * into consecutive stripes of at most {@link #blockSize}; a block is where a row stripe (block row) meets a column
 * stripe (block column). When all stripes have the full size the pattern is {@link #uniform}, and this is the format
 * of MegaBlocks and STK; otherwise blocks are as high as the stripe has rows, and nothing is padded.
 *
 * <p>Data of a block is row-major and dense at {@link #dataOffset}; blocks lie one after the other in block order.
 *
 * <p>Implementations are immutable. Indices are not checked beyond what arrays check.
 */
public sealed interface BlockPattern permits MoeBlockPattern, BcsrPattern {

    /**
     * Returns the largest height and width of a block.
     *
     * @return B, 1 or more
     */
    int blockSize();

    /**
     * Returns the number of row stripes.
     *
     * @return block rows, 0 or more
     */
    int blockRows();

    /**
     * Returns the number of column stripes.
     *
     * @return block columns, 0 or more
     */
    int blockColumns();

    /**
     * Returns the number of stored blocks.
     *
     * @return nnz in blocks
     */
    int blocks();

    /**
     * Returns the first matrix row of a block row; of {@code blockRows()} it is the number of rows of the matrix.
     *
     * @param blockRow 0..blockRows
     * @return row
     */
    long rowOffset(int blockRow);

    /**
     * Returns the first matrix column of a block column; of {@code blockColumns()} it is the number of columns of the
     * matrix.
     *
     * @param blockColumn 0..blockColumns
     * @return column
     */
    long columnOffset(int blockColumn);

    /**
     * Returns where a block's data begins; of {@code blocks()} it is the length of the data.
     *
     * @param block 0..blocks
     * @return offset in elements
     */
    long dataOffset(int block);

    /**
     * Returns the first block of a block row (STK: offsets); of {@code blockRows()} it is {@link #blocks}.
     *
     * @param blockRow 0..blockRows
     * @return block
     */
    int firstBlock(int blockRow);

    /**
     * Returns the block row of a block (STK: row_indices).
     *
     * @param block 0..blocks-1
     * @return block row
     */
    int rowOf(int block);

    /**
     * Returns the block column of a block (STK: column_indices).
     *
     * @param block 0..blocks-1
     * @return block column
     */
    int columnOf(int block);

    /**
     * Returns the first position of a block column when the blocks are ordered by column (STK: offsets_t); of {@code
     * blockColumns()} it is {@link #blocks}.
     *
     * @param blockColumn 0..blockColumns
     * @return position in transposed order
     */
    int firstTransposed(int blockColumn);

    /**
     * Returns the block at a position of the transposed order, which goes by (block column, block row) (STK:
     * block_offsets_t).
     *
     * @param position 0..blocks-1
     * @return block
     */
    int transposedBlock(int position);

    /**
     * Tells whether every row stripe and every column stripe, and so every block, has the full size.
     *
     * @return true for the STK format
     */
    boolean uniform();

    /**
     * Returns the number of rows of the matrix.
     *
     * @return rows
     */
    default long rows() {
        return rowOffset(blockRows());
    }

    /**
     * Returns the number of columns of the matrix.
     *
     * @return columns
     */
    default long columns() {
        return columnOffset(blockColumns());
    }

    /**
     * Returns the number of stored elements.
     *
     * @return length of the data
     */
    default long elements() {
        return dataOffset(blocks());
    }

    /**
     * Returns the number of matrix rows in a block row.
     *
     * @param blockRow 0..blockRows-1
     * @return 1..blockSize
     */
    default int height(int blockRow) {
        return (int) (rowOffset(blockRow + 1) - rowOffset(blockRow));
    }

    /**
     * Returns the number of matrix columns in a block column.
     *
     * @param blockColumn 0..blockColumns-1
     * @return 1..blockSize
     */
    default int width(int blockColumn) {
        return (int) (columnOffset(blockColumn + 1) - columnOffset(blockColumn));
    }

    /**
     * Tells whether another pattern stores the same blocks of the same sizes, so that data of the one is data of the
     * other.
     *
     * @param other a pattern of either kind
     * @return true if stripes and blocks agree; found by comparing them all, unless the two are equal
     */
    default boolean sameBlocks(BlockPattern other) {
        if (equals(other)) {
            return true;
        }
        if (blockRows() != other.blockRows() || blockColumns() != other.blockColumns() || blocks() != other.blocks()) {
            return false;
        }
        boolean same = true;
        for (int r = 0; r <= blockRows() && same; r++) {
            same = rowOffset(r) == other.rowOffset(r) && firstBlock(r) == other.firstBlock(r);
        }
        for (int c = 0; c <= blockColumns() && same; c++) {
            same = columnOffset(c) == other.columnOffset(c);
        }
        for (int z = 0; z < blocks() && same; z++) {
            same = columnOf(z) == other.columnOf(z);
        }
        return same;
    }

    /**
     * Makes the index arrays of this pattern, for tests, for pictures and for other systems.
     *
     * @return new arrays
     */
    default BcsrArrays arrays() {
        return BcsrArrays.of(this);
    }
}
