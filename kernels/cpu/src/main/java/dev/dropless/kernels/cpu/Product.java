package dev.dropless.kernels.cpu;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A set of matrix products, one per group (an expert, a rectangle of blocks, or the one group of a dense product), described by where their operands come
 * from and where their results go. {@link ProductRunner} does the rest.
 *
 * <p>Group g is rows(g) x depth(g) times depth(g) x panels(g) * PANEL. Rows, panels and k are counted from 0 in each group. All methods may be called
 * from several threads at once, on different tiles.
 */
abstract class Product {

    /** Panels packed at a time, so that rows of the right operand are read in long pieces. */
    static final int PANEL_GROUP = 8;

    abstract int groups();

    abstract int rows(int group);

    abstract int panels(int group);

    abstract int depth(int group);

    /** Copies rows of the left operand, columns k..k+depth-1, into {@code scratch.rows}. */
    abstract void packRows(int group, int row, int rows, int k, int depth, Scratch scratch);

    /**
     * Makes panels of rows k..k+depth-1 of the right operand available, packing them where they are not stored that way; columns beyond the last are
     * zero.
     *
     * @return how many of the {@code count} panels from {@code panel} on are ready, at least 1: see {@link Scratch#panels}
     */
    abstract int preparePanels(int group, int panel, int count, int k, int depth, Scratch scratch);

    /** Fills the tile with what the products are added to. */
    void begin(int group, int row, int rows, int panel, float[] tile, int offset) {
        Arrays.fill(tile, offset, offset + rows * TileKernels.PANEL, 0f);
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

    /** Takes the finished tile [rows][PANEL], which lies in {@code scratch.results}. */
    abstract void end(int group, int row, int rows, int panel, float[] tile, int offset, Scratch scratch);
}
