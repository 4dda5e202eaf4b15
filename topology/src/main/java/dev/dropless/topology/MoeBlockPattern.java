package dev.dropless.topology;

import java.util.Arrays;

/**
 * The block pattern of the intermediate matrix of a mixture-of-experts layer: block-diagonal, expert e filling the
 * rectangle of its rows and its {@code ffnHiddenSize} columns. Nothing but O(E) prefix sums is stored; every index is
 * computed in closed form when asked for, those of the transposed order too.
 *
 * <p>With q = ceil(ffnHiddenSize / blockSize) block columns per expert and r0(e) the first block row of expert e,
 * every block row has exactly q blocks, so block {@code r * q + j} lies in block row r and in block column {@code e *
 * q + j}. In the transposed order expert e owns the same range of positions, ordered by (j, r).
 *
 * <p>Rows come in two granularities. {@link #exact exact}: no row is padding; the last block row of an expert is as
 * high as it has rows left, and matrix row i is row i of the {@link Topology}. {@link #padded padded}: every expert's
 * rows are rounded up to the block size, and matrix row i is row i of {@link PaddedRows}; where the block size
 * divides {@code ffnHiddenSize} this is the matrix of MegaBlocks. If it does not, the last block column of each
 * expert is narrower in both.
 *
 * <p>Operations that must find the expert of a block row take O(log E), all others O(1). Source: MegaBlocks (arXiv
 * 2211.15841), section 5.1.3, with the sorts replaced by their results.
 */
public final class MoeBlockPattern implements BlockPattern {

    private final int blockSize;
    private final int ffnHiddenSize;
    private final int columnsPerExpert;
    private final int blocks;
    private final boolean uniform;
    private final int[] blockRowStart;
    private final long[] rowStart;

    private MoeBlockPattern(Topology topology, int blockSize, int ffnHiddenSize, boolean padded) {
        this.blockSize = Checks.atLeast("blockSize", blockSize, 1);
        this.ffnHiddenSize = Checks.atLeast("ffnHiddenSize", ffnHiddenSize, 1);
        this.columnsPerExpert = Math.ceilDiv(ffnHiddenSize, blockSize);
        int experts = topology.numExperts();
        this.blockRowStart = new int[experts + 1];
        this.rowStart = new long[experts + 1];
        boolean fullStripes = ffnHiddenSize % blockSize == 0;
        for (int e = 0; e < experts; e++) {
            int load = topology.tokensPerExpert(e);
            int stripes = Math.ceilDiv(load, blockSize);
            blockRowStart[e + 1] = blockRowStart[e] + stripes;
            rowStart[e + 1] = rowStart[e] + (padded ? (long) stripes * blockSize : load);
            fullStripes &= padded || load % blockSize == 0;
        }
        this.uniform = fullStripes;
        Checks.fitsLong("elements", rowStart[experts], ffnHiddenSize);
        String width = "ffnHiddenSize = %d, blockSize = %d".formatted(ffnHiddenSize, blockSize);
        Checks.fitsInt("blockColumns", (long) experts * columnsPerExpert, "numExperts = " + experts + ", " + width);
        this.blocks = Checks.fitsInt(
                "blocks",
                (long) blockRowStart[experts] * columnsPerExpert,
                "blockRows = " + blockRowStart[experts] + ", " + width);
    }

    /**
     * The pattern without padding: as many matrix rows as the topology has.
     *
     * @param topology loads of the experts
     * @param blockSize largest height and width of a block, 1 or more
     * @param ffnHiddenSize columns of each expert, 1 or more
     * @return the pattern
     * @throws IllegalArgumentException if a size is out of range, or there are more than 2^31-1 blocks or block
     *     columns, or more than 2^63-1 elements
     */
    public static MoeBlockPattern exact(Topology topology, int blockSize, int ffnHiddenSize) {
        return new MoeBlockPattern(topology, blockSize, ffnHiddenSize, false);
    }

    /**
     * The pattern in which every expert has a multiple of {@code blockSize} rows, those of {@link PaddedRows}.
     *
     * @param topology loads of the experts
     * @param blockSize height of every block and largest width, 1 or more
     * @param ffnHiddenSize columns of each expert, 1 or more
     * @return the pattern
     * @throws IllegalArgumentException if a size is out of range, or there are more than 2^31-1 blocks or block
     *     columns, or more than 2^63-1 elements
     */
    public static MoeBlockPattern padded(Topology topology, int blockSize, int ffnHiddenSize) {
        return new MoeBlockPattern(topology, blockSize, ffnHiddenSize, true);
    }

    /**
     * Returns the number of experts.
     *
     * @return E, 1 or more
     */
    public int numExperts() {
        return blockRowStart.length - 1;
    }

    /**
     * Returns the number of matrix columns of each expert.
     *
     * @return F, 1 or more
     */
    public int ffnHiddenSize() {
        return ffnHiddenSize;
    }

    /**
     * Returns the number of block columns of each expert, which is also the number of blocks of each block row.
     *
     * @return q = ceil(F / B)
     */
    public int blockColumnsPerExpert() {
        return columnsPerExpert;
    }

    /**
     * Returns the first block row of an expert; of {@code numExperts()} it is {@link #blockRows}.
     *
     * @param expert 0..numExperts
     * @return block row
     */
    public int firstBlockRow(int expert) {
        return blockRowStart[expert];
    }

    /**
     * Returns the expert that owns a block row, by binary search.
     *
     * @param blockRow 0..blockRows-1
     * @return expert
     */
    public int expertOfBlockRow(int blockRow) {
        return PrefixSums.segmentOf(blockRowStart, blockRow);
    }

    @Override
    public int blockSize() {
        return blockSize;
    }

    @Override
    public int blockRows() {
        return blockRowStart[numExperts()];
    }

    @Override
    public int blockColumns() {
        return numExperts() * columnsPerExpert;
    }

    @Override
    public int blocks() {
        return blocks;
    }

    @Override
    public long rowOffset(int blockRow) {
        return rowOffset(blockRow, expertOfBlockRow(blockRow));
    }

    private long rowOffset(int blockRow, int expert) {
        long row = rowStart[expert] + (long) (blockRow - blockRowStart[expert]) * blockSize;
        return Math.min(row, rowStart[expert + 1]); // only past the last block row is the minimum the second
    }

    @Override
    public long columnOffset(int blockColumn) {
        int expert = blockColumn / columnsPerExpert;
        return (long) expert * ffnHiddenSize + columnInExpert(blockColumn - expert * columnsPerExpert);
    }

    private long columnInExpert(int j) {
        return Math.min((long) j * blockSize, ffnHiddenSize);
    }

    /** Every matrix row holds F elements, so block row r begins at rowOffset(r) * F. */
    @Override
    public long dataOffset(int block) {
        int blockRow = block / columnsPerExpert;
        int expert = expertOfBlockRow(blockRow);
        long row = rowOffset(blockRow, expert);
        long height = Math.min(blockSize, rowStart[expert + 1] - row);
        return row * ffnHiddenSize + height * columnInExpert(block - blockRow * columnsPerExpert);
    }

    @Override
    public int firstBlock(int blockRow) {
        return blockRow * columnsPerExpert;
    }

    @Override
    public int rowOf(int block) {
        return block / columnsPerExpert;
    }

    @Override
    public int columnOf(int block) {
        int blockRow = block / columnsPerExpert;
        return (expertOfBlockRow(blockRow) - blockRow) * columnsPerExpert + block; // e * q + (block - r * q)
    }

    @Override
    public int firstTransposed(int blockColumn) {
        int expert = blockColumn / columnsPerExpert;
        if (expert == numExperts()) {
            return blocks;
        }
        int j = blockColumn - expert * columnsPerExpert;
        int stripes = blockRowStart[expert + 1] - blockRowStart[expert];
        return blockRowStart[expert] * columnsPerExpert + j * stripes;
    }

    @Override
    public int transposedBlock(int position) {
        int expert = expertOfBlockRow(position / columnsPerExpert);
        int stripes = blockRowStart[expert + 1] - blockRowStart[expert];
        int inExpert = position - blockRowStart[expert] * columnsPerExpert;
        int j = inExpert / stripes;
        int blockRow = blockRowStart[expert] + inExpert - j * stripes;
        return blockRow * columnsPerExpert + j;
    }

    @Override
    public boolean uniform() {
        return uniform;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MoeBlockPattern that
                && blockSize == that.blockSize
                && ffnHiddenSize == that.ffnHiddenSize
                && Arrays.equals(rowStart, that.rowStart);
    }

    @Override
    public int hashCode() {
        return 31 * (31 * blockSize + ffnHiddenSize) + Arrays.hashCode(rowStart);
    }

    @Override
    public String toString() {
        return "MoeBlockPattern[%d x %d, numExperts=%d, blockSize=%d, blocks=%d]"
                .formatted(rows(), columns(), numExperts(), blockSize, blocks);
    }
}
