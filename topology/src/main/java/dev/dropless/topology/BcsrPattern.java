package dev.dropless.topology;

import java.util.Arrays;

/**
 * Any pattern of equal square blocks, kept as index arrays: blocked compressed rows with the row of every block beside
 * them, and the transposed order as an index into the same data, so that transposition moves nothing.
 *
 * <p>Source: MegaBlocks (arXiv 2211.15841), section 5.1, "hybrid blocked-CSR-COO" with transpose indices.
 */
public final class BcsrPattern implements BlockPattern {

    private final int blockSize;
    private final int blockRows;
    private final int blockColumns;
    private final int[] offsets;
    private final int[] columnIndices;
    private final int[] rowIndices;
    private final int[] offsetsT;
    private final int[] blockOffsetsT;

    private BcsrPattern(int blockRows, int blockColumns, int blockSize, int[] offsets, int[] columnIndices) {
        Checks.fitsLong("elements", columnIndices.length, (long) blockSize * blockSize);
        this.blockSize = blockSize;
        this.blockRows = blockRows;
        this.blockColumns = blockColumns;
        this.offsets = offsets;
        this.columnIndices = columnIndices;
        this.rowIndices = new int[columnIndices.length];
        for (int r = 0; r < blockRows; r++) {
            Arrays.fill(rowIndices, offsets[r], offsets[r + 1], r);
        }
        this.offsetsT = new int[blockColumns + 1];
        this.blockOffsetsT = new int[columnIndices.length];
        sortByColumn();
    }

    /**
     * Creates a pattern from compressed rows.
     *
     * @param blockRows number of block rows, 0 or more
     * @param blockColumns number of block columns, 0..2^31-2
     * @param blockSize height and width of every block, 1 or more
     * @param offsets first block of each block row and, last, the number of blocks: [blockRows + 1], ascending from
     *     0; copied
     * @param columnIndices block column of each block: [blocks], strictly ascending within a block row; copied
     * @return the pattern
     * @throws IllegalArgumentException if a size, a length, an offset or a column is not as stated, or there are more
     *     than 2^63-1 elements
     */
    public static BcsrPattern of(int blockRows, int blockColumns, int blockSize, int[] offsets, int[] columnIndices) {
        checkSizes(blockRows, blockColumns, blockSize);
        Checks.length("offsets", offsets, "blockRows + 1", blockRows + 1L);
        int[] ownOffsets = offsets.clone();
        int[] ownColumns = columnIndices.clone();
        checkOffsets(ownOffsets, ownColumns.length);
        for (int r = 0; r < blockRows; r++) {
            checkColumns(ownColumns, ownOffsets[r], ownOffsets[r + 1], blockColumns);
        }
        return new BcsrPattern(blockRows, blockColumns, blockSize, ownOffsets, ownColumns);
    }

    /**
     * Creates the pattern of the blocks that a mask marks.
     *
     * @param blockRows number of block rows, 0 or more
     * @param blockColumns number of block columns, 0..2^31-2
     * @param blockSize height and width of every block, 1 or more
     * @param mask whether each block is stored: [blockRows, blockColumns] row-major; read, not kept
     * @return the pattern
     * @throws IllegalArgumentException if a size is out of range, the mask has another length, or there are more than
     *     2^63-1 elements
     */
    public static BcsrPattern ofMask(int blockRows, int blockColumns, int blockSize, boolean[] mask) {
        checkSizes(blockRows, blockColumns, blockSize);
        long expected = (long) blockRows * blockColumns;
        if (mask.length != expected) {
            throw Checks.mismatch("mask.length", "blockRows * blockColumns = " + expected, mask.length);
        }
        int[] offsets = new int[blockRows + 1];
        int[] columns = new int[mask.length];
        int blocks = 0;
        for (int r = 0; r < blockRows; r++) {
            for (int c = 0; c < blockColumns; c++) {
                if (mask[r * blockColumns + c]) {
                    columns[blocks++] = c;
                }
            }
            offsets[r + 1] = blocks;
        }
        return new BcsrPattern(blockRows, blockColumns, blockSize, offsets, Arrays.copyOf(columns, blocks));
    }

    private static void checkSizes(int blockRows, int blockColumns, int blockSize) {
        Checks.atLeast("blockRows", blockRows, 0);
        Checks.atLeast("blockColumns", blockColumns, 0);
        if (blockColumns == Integer.MAX_VALUE) { // the transposed offsets have one entry more
            throw Checks.mismatch("blockColumns", "at most " + (Integer.MAX_VALUE - 1), blockColumns);
        }
        Checks.atLeast("blockSize", blockSize, 1);
    }

    private static void checkOffsets(int[] offsets, int blocks) {
        if (offsets[0] != 0) {
            throw Checks.mismatch("offsets[0]", 0, offsets[0]);
        }
        for (int r = 1; r < offsets.length; r++) {
            if (offsets[r] < offsets[r - 1]) {
                throw Checks.mismatch(
                        "offsets[" + r + "]", "at least offsets[" + (r - 1) + "] = " + offsets[r - 1], offsets[r]);
            }
        }
        int last = offsets.length - 1;
        if (offsets[last] != blocks) {
            throw Checks.mismatch("offsets[" + last + "]", "columnIndices.length = " + blocks, offsets[last]);
        }
    }

    private static void checkColumns(int[] columns, int from, int to, int blockColumns) {
        for (int z = from; z < to; z++) {
            int least = z == from ? 0 : columns[z - 1] + 1;
            if (columns[z] < least || columns[z] >= blockColumns) {
                throw Checks.mismatch("columnIndices[" + z + "]", least + ".." + (blockColumns - 1), columns[z]);
            }
        }
    }

    /** Stable counting sort: blocks come in row order, so those of one column stay in row order. */
    private void sortByColumn() {
        for (int column : columnIndices) {
            offsetsT[column + 1]++;
        }
        for (int c = 0; c < blockColumns; c++) {
            offsetsT[c + 1] += offsetsT[c];
        }
        int[] next = Arrays.copyOf(offsetsT, blockColumns);
        for (int z = 0; z < columnIndices.length; z++) {
            blockOffsetsT[next[columnIndices[z]]++] = z;
        }
    }

    @Override
    public int blockSize() {
        return blockSize;
    }

    @Override
    public int blockRows() {
        return blockRows;
    }

    @Override
    public int blockColumns() {
        return blockColumns;
    }

    @Override
    public int blocks() {
        return columnIndices.length;
    }

    @Override
    public long rowOffset(int blockRow) {
        return (long) blockRow * blockSize;
    }

    @Override
    public long columnOffset(int blockColumn) {
        return (long) blockColumn * blockSize;
    }

    @Override
    public long dataOffset(int block) {
        return (long) blockSize * blockSize * block;
    }

    @Override
    public int firstBlock(int blockRow) {
        return offsets[blockRow];
    }

    @Override
    public int rowOf(int block) {
        return rowIndices[block];
    }

    @Override
    public int columnOf(int block) {
        return columnIndices[block];
    }

    @Override
    public int firstTransposed(int blockColumn) {
        return offsetsT[blockColumn];
    }

    @Override
    public int transposedBlock(int position) {
        return blockOffsetsT[position];
    }

    /** Always true. */
    @Override
    public boolean uniform() {
        return true;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof BcsrPattern that
                && blockSize == that.blockSize
                && blockColumns == that.blockColumns
                && Arrays.equals(offsets, that.offsets)
                && Arrays.equals(columnIndices, that.columnIndices);
    }

    @Override
    public int hashCode() {
        return 31 * (31 * (31 * blockSize + blockColumns) + Arrays.hashCode(offsets)) + Arrays.hashCode(columnIndices);
    }

    @Override
    public String toString() {
        return "BcsrPattern[%d x %d, blockSize=%d, blocks=%d]".formatted(rows(), columns(), blockSize, blocks());
    }
}
