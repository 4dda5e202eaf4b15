package dev.dropless.kernels.cpu;

import org.jspecify.annotations.Nullable;

/** A product of experts: rows are packed by block, or as panels; the other operand, weights or rows, comes panel by panel. {@link ProductRunner} computes its tasks. */
abstract non-sealed class ExpertProduct extends Product {

    /** Which operand is packed how. */
    enum Form {
        /** Rows of the left operand, k along them; panels of the right one. */
        ROWS,
        /** Interleaved rows of the left operand, see {@link TileKernels#multiplyColumns}; panels of the right one. */
        COLUMNS,
        /**
         * Weights as they are stored, which are the left operand of the transposed product; rows as panels. See {@link #prepareTile}.
         */
        WEIGHTS_LEFT
    }

    Form form() {
        return Form.ROWS;
    }

    /**
     * Whether terms are counted in pairs of bfloat16: rows are packed by {@link TileKernels#pairTerms}, panels are rows of bfloat16, twice as many as pairs.
     */
    boolean paired() {
        return false;
    }

    /** Whether all panels lie in memory as the kernels read them, in single precision: they are worth fetching ahead, and nothing is packed or widened for them. */
    boolean streams() {
        return false;
    }

    /**
     * Copies rows of the left operand, columns k..k+depth-1, into {@code scratch.rows} from {@code scratch.rowsOffset} on, with stride
     * {@link TileKernels#ROW_STRIDE}, or interleaved.
     */
    abstract void packRows(int group, int row, int rows, int k, int depth, Scratch scratch);

    /**
     * Makes panels of rows k..k+depth-1 of the right operand available, packing them where they are not stored that way; columns beyond the last are
     * zero.
     *
     * @return how many of the {@code count} panels from {@code panel} on are ready, at least 1: see {@link Scratch#panels}
     */
    abstract int preparePanels(int group, int panel, int count, int k, int depth, Scratch scratch);

    /**
     * Finds the weights of a panel of results for {@link Form#WEIGHTS_LEFT}: {@link Scratch#panels}, {@link Scratch#panelOffset} and the stride between
     * packed panels of k, {@link Scratch#panelStride}. Otherwise as {@link #preparePanels}.
     *
     * @return how many columns of results there are, at most PANEL
     */
    int prepareTile(int group, int panel, int k, int depth, Scratch scratch) {
        throw new UnsupportedOperationException("weights on the right");
    }

    /**
     * Memory laid out like tiles to which the products of a panel are added directly, without {@link #begin} and {@link #end}; null where there is none.
     */
    @Nullable
    Storage inPlace(int group, int panel) {
        return null;
    }

    /** Where a tile begins in {@link #inPlace}. */
    int inPlaceOffset(int group, int row, int panel) {
        throw new UnsupportedOperationException("no tile in place");
    }
}
