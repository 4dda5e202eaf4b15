package dev.dropless.kernels.cpu;

import java.util.Arrays;

/**
 * A set of matrix products, one per group (an expert, a rectangle of blocks, or the one group of a dense product), described by where their operands come
 * from and where their results go. {@link ProductRunner} does the rest.
 *
 * <p>Group g is rows(g) x depth(g) times depth(g) x panels(g) * PANEL. Rows, panels and k are counted from 0 in each group. All methods may be called
 * from several threads at once, on different tiles.
 */
abstract sealed class Product permits ExpertProduct, BlockProduct {

    abstract int groups();

    abstract int rows(int group);

    abstract int panels(int group);

    abstract int depth(int group);

    /** Fills the tile with what the products are added to. */
    void begin(int group, int row, int rows, int panel, float[] tile, int offset) {
        Arrays.fill(tile, offset, offset + rows * TileKernels.PANEL, 0f);
    }

    /** Takes the finished tile [rows][PANEL], which lies in {@code scratch.results}. */
    abstract void end(int group, int row, int rows, int panel, float[] tile, int offset, Scratch scratch);
}
