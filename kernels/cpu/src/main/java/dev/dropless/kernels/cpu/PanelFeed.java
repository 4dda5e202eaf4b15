package dev.dropless.kernels.cpu;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Panels of the right operand of a block product that are packed piece by piece while those before them are multiplied, so that reading them from memory takes no time of its
 * own: each piece is fetched into the cache during a multiplication and copied during the next one, or after it where it is more than rows of floats.
 */
final class PanelFeed {

    /** Least extent of a piece across its rows in memory: some of them share a page of memory each, few enough not to be in each other's way in the cache. */
    private static final int LEAST = 8;

    private @Nullable BlockProduct product;
    private int group;
    /** First panel. */
    private int panel;

    private int panels;
    private int k;
    private int terms;
    /** Where they begin in {@link Scratch#packed}. */
    private int offset;
    /** Columns and terms of a piece. */
    private int width;

    private int height;
    /** Pieces side by side, and all. */
    private int across;

    private int pieces;
    private int done;
    /** Whether rows of a rectangle are copied while others are multiplied, and whether the first of them have been fetched. */
    private boolean copied;

    private boolean fetched;

    /** Nothing to pack. */
    void clear() {
        product = null;
        pieces = 0;
        done = 0;
        panels = 0;
    }

    /**
     * What to pack.
     *
     * @param parts into how many pieces at most
     */
    void start(
            BlockProduct source,
            int ofGroup,
            int firstPanel,
            int count,
            int firstTerm,
            int depth,
            int to,
            int parts,
            Scratch scratch) {
        product = source;
        group = ofGroup;
        panel = firstPanel;
        panels = count;
        k = firstTerm;
        terms = depth;
        offset = to;
        done = 0;
        int columns = columns();
        if (columns < count * TileKernels.PANEL) {
            packer(scratch).clearPanel((panel + panels - 1) * TileKernels.PANEL);
        }
        if (source.right.alongK()) {
            width = Math.min(TileKernels.BLOCK, columns);
            across = Math.ceilDiv(columns, width);
            height = powerOfTwo(Math.ceilDiv(terms, Math.max(1, parts / across)), 4 * TileKernels.BLOCK);
        } else {
            width = columns;
            across = 1;
            height = powerOfTwo(Math.ceilDiv(terms, Math.max(1, parts - 1)), LEAST);
        }
        copied = columns == panels * TileKernels.PANEL
                && height * panels < depth
                && source.right.isRectangle(group, k, terms);
        fetched = false;
        pieces = across * Math.ceilDiv(terms, height);
    }

    private static int powerOfTwo(int least, int floor) {
        int result = floor;
        while (result < least) {
            result *= 2;
        }
        return result;
    }

    private int columns() {
        int first = panel * TileKernels.PANEL;
        return Math.min(panels * TileKernels.PANEL, source().columns(group) - first);
    }

    private BlockProduct source() {
        return Objects.requireNonNull(product);
    }

    private Packer packer(Scratch scratch) {
        return scratch.packer.panels(scratch.packed(), offset, terms, panel * TileKernels.PANEL, k);
    }

    /**
     * Multiplies a few packed rows with a packed panel, and packs a piece.
     *
     * @param left first element of the rows
     * @param right first element of the panel
     * @param tile where the results go
     */
    void multiply(int rows, int depth, int left, int right, int tile, Scratch scratch) {
        TileKernels kernels = scratch.kernels;
        Storage a = scratch.rowsStorage();
        Storage b = scratch.packed();
        Storage c = scratch.results;
        Ahead ahead = scratch.ahead;
        if (copied && fetched && done < pieces) {
            locate(done + 1, ahead);
            kernels.fetch(ahead);
            locate(done, ahead);
            int to = offset + done * height * TileKernels.PANEL;
            kernels.multiply(rows, depth, a, left, b, right, c, tile, ahead, panels, b, to, panelStride());
            done++;
            return;
        }
        locate(done, ahead);
        kernels.fetch(ahead);
        kernels.multiply(rows, depth, a, left, b, right, c, tile, ahead);
        if (!copied) {
            pack(scratch);
        }
        fetched = true;
    }

    private void locate(int piece, Ahead ahead) {
        if (piece < pieces) {
            int column = firstColumn(piece);
            source().right.locate(group, column, width(piece), firstTerm(piece), height(piece), ahead);
        } else {
            ahead.clear();
        }
    }

    /** Packs the next piece, if there is one. */
    void pack(Scratch scratch) {
        if (done < pieces) {
            int column = firstColumn(done);
            source().right.pack(group, column, width(done), firstTerm(done), height(done), packer(scratch), scratch);
            done++;
        }
    }

    /** Packs what is left. */
    void finish(Scratch scratch) {
        while (done < pieces) {
            pack(scratch);
        }
    }

    private int firstColumn(int piece) {
        return panel * TileKernels.PANEL + piece % across * width;
    }

    private int width(int piece) {
        return Math.min(width, columns() - piece % across * width);
    }

    private int firstTerm(int piece) {
        return k + piece / across * height;
    }

    private int height(int piece) {
        return Math.min(height, terms - piece / across * height);
    }

    /** Elements of a panel. */
    private int panelStride() {
        return terms * TileKernels.PANEL;
    }
}
