package dev.dropless.topology;

import java.util.Arrays;
import java.util.Objects;

/**
 * MegaBlocks' view of a topology: every expert's rows are followed by padding up to a multiple of the block size (an
 * expert without rows gets none). The kernels of this library do not need it; other systems do.
 *
 * <p>Only O(E) prefix sums are stored. Instances are immutable. Source: MegaBlocks (arXiv 2211.15841), section 5.2.
 */
public final class PaddedRows {

    /** In place of a slot: this row is padding. */
    public static final int PADDING = -1;

    private final Topology topology;
    private final int blockSize;
    private final int[] offsets;

    private PaddedRows(Topology topology, int blockSize, int[] offsets) {
        this.topology = topology;
        this.blockSize = blockSize;
        this.offsets = offsets;
    }

    /**
     * Pads the rows of every expert.
     *
     * @param topology the rows
     * @param blockSize what the number of rows of each expert becomes a multiple of, 1 or more
     * @return the padded view
     * @throws IllegalArgumentException if {@code blockSize} is less than 1, or there would be more than 2^31-1 rows
     */
    public static PaddedRows of(Topology topology, int blockSize) {
        Checks.atLeast("blockSize", blockSize, 1);
        int experts = topology.numExperts();
        long stripes = 0;
        for (int e = 0; e < experts; e++) {
            stripes += Math.ceilDiv(topology.tokensPerExpert(e), blockSize);
        }
        Checks.fitsInt("padded rows", stripes * blockSize, "%d blocks, blockSize = %d".formatted(stripes, blockSize));
        int[] offsets = new int[experts + 1];
        for (int e = 0; e < experts; e++) {
            offsets[e + 1] = offsets[e] + Math.ceilDiv(topology.tokensPerExpert(e), blockSize) * blockSize;
        }
        return new PaddedRows(topology, blockSize, offsets);
    }

    /**
     * Returns the topology whose rows these are.
     *
     * @return the topology
     */
    public Topology topology() {
        return topology;
    }

    /**
     * Returns what the number of rows of each expert is a multiple of.
     *
     * @return B, 1 or more
     */
    public int blockSize() {
        return blockSize;
    }

    /**
     * Returns the number of rows, padding included.
     *
     * @return a multiple of {@link #blockSize}
     */
    public int rows() {
        return offsets[topology.numExperts()];
    }

    /**
     * Returns the number of rows that are padding.
     *
     * @return {@code rows() - topology().rows()}
     */
    public int paddingRows() {
        return rows() - topology.rows();
    }

    /**
     * Returns the first row of an expert; of {@code numExperts} it is {@link #rows}.
     *
     * @param expert 0..numExperts
     * @return padded row
     */
    public int offset(int expert) {
        return offsets[expert];
    }

    /**
     * Returns the number of rows of an expert, padding included.
     *
     * @param expert 0..numExperts-1
     * @return its load rounded up to the block size; 0 stays 0
     */
    public int paddedTokensPerExpert(int expert) {
        return offsets[expert + 1] - offsets[expert];
    }

    /**
     * Returns the number of rows of every expert, padding included (MegaBlocks: padded_tokens_per_expert).
     *
     * @return a new array [numExperts]
     */
    public int[] paddedTokensPerExpert() {
        int[] loads = new int[topology.numExperts()];
        Arrays.setAll(loads, this::paddedTokensPerExpert);
        return loads;
    }

    /**
     * Returns the end of every expert's rows (MegaBlocks: padded_bins).
     *
     * @return a new array [numExperts], the inclusive cumulative sum of {@link #paddedTokensPerExpert()}
     */
    public int[] paddedBins() {
        return PrefixSums.inclusive(offsets);
    }

    /**
     * Returns where a row of the topology lies among the padded rows.
     *
     * @param row 0..topology.rows-1
     * @return padded row
     */
    public int paddedRowOfRow(int row) {
        int expert = topology.expertOfRow(row);
        return row - topology.offset(expert) + offsets[expert];
    }

    /**
     * Returns where every row of the topology lies among the padded rows.
     *
     * @return a new array [topology.rows], ascending
     */
    public int[] paddedRowOfRow() {
        int[] padded = new int[topology.rows()];
        for (int e = 0; e < topology.numExperts(); e++) {
            int shift = offsets[e] - topology.offset(e);
            for (int row = topology.offset(e); row < topology.offset(e + 1); row++) {
                padded[row] = row + shift;
            }
        }
        return padded;
    }

    /**
     * Returns the slot that a padded row holds.
     *
     * @param paddedRow 0..rows-1
     * @return token * topK + rank, or {@link #PADDING}
     */
    public int slotSource(int paddedRow) {
        Objects.checkIndex(paddedRow, rows());
        int expert = PrefixSums.segmentOf(offsets, paddedRow);
        int row = paddedRow - offsets[expert] + topology.offset(expert);
        return row < topology.offset(expert + 1) ? topology.slotOfRow(row) : PADDING;
    }

    /**
     * Returns the slot that every padded row holds.
     *
     * @return a new array [rows]: token * topK + rank, or {@link #PADDING}
     */
    public int[] slotSource() {
        int[] slots = new int[rows()];
        Arrays.fill(slots, PADDING);
        for (int e = 0; e < topology.numExperts(); e++) {
            int shift = offsets[e] - topology.offset(e);
            for (int row = topology.offset(e); row < topology.offset(e + 1); row++) {
                slots[row + shift] = topology.slotOfRow(row);
            }
        }
        return slots;
    }

    @Override
    public String toString() {
        return "PaddedRows[blockSize=%d, rows=%d, padding=%d]".formatted(blockSize, rows(), paddingRows());
    }
}
