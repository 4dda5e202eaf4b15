package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.Scratch.Tile;

/**
 * Computes the tasks of {@link BlockProduct}s, whose operands are both packed on the way.
 *
 * <p>Some terms of all rows of a task are packed at once and stay in the second-level cache. Of the other operand a few panels are multiplied with them while the next few are
 * packed, so that each is read from memory once for every task, in the shadow of the arithmetic. Results of all panels wait for the next terms.
 */
final class BlockTiles {

    /** Terms of the rows that are packed at a time. */
    private static final int TERMS = TileKernels.DEPTH;
    /** Elements of a block of rows: 1.25 MB of the second-level cache. */
    private static final int BLOCK_ELEMENTS = 5 << 16;
    /** Rows of a block at most: limits the pages that a column of the block lies on. */
    private static final int MAX_ROWS = 640;
    /** Panels that are packed before anything is multiplied. */
    private static final int FIRST_PANELS = 2;
    /** Panels that are packed at a time while others are multiplied: rows of the right operand are read in pieces of 512 bytes. */
    private static final int PANELS = 4;

    private BlockTiles() {}

    /** Rows of a task. */
    static int maxRows(BlockProduct product, int group) {
        int depth = product.depth(group);
        if (isInPlace(product, depth)) {
            return BlockUpdates.maxRows(depth);
        }
        return Math.min(BLOCK_ELEMENTS / Math.clamp(depth, 1, TERMS), MAX_ROWS);
    }

    private static boolean isInPlace(BlockProduct product, int depth) {
        return depth > 1 && product.inPlace();
    }

    static void compute(BlockProduct product, Tile task, Scratch scratch) {
        int depth = product.depth(task.group);
        if (isInPlace(product, depth)) {
            BlockUpdates.compute((BlockProduct.IntoDense) product, task, scratch);
            return;
        }
        boolean atOnce = depth <= TERMS;
        scratch.results((atOnce ? 1 : task.panels) * task.rows * TileKernels.PANEL);
        scratch.packPanels(2 * PANELS, Math.min(depth, TERMS));
        int half = scratch.panelStride * PANELS;
        int chunks = Math.ceilDiv(task.rows, scratch.kernels.interleavedRows());
        PanelFeed feed = scratch.feed;
        start(product, task, 0, FIRST_PANELS, 0, 0, 1, scratch);
        int from = 0;
        for (int k = 0; k == 0 || k < depth; k += TERMS) {
            packRows(product, task, k, Math.min(TERMS, depth - k), scratch);
            for (int p = 0; p < task.panels; ) {
                int count = Math.min(k + p == 0 ? FIRST_PANELS : PANELS, task.panels - p);
                feed.finish(scratch);
                boolean last = p + count == task.panels;
                int next = last ? k + TERMS : k;
                start(product, task, last ? 0 : p + count, PANELS, next, half - from, count * chunks, scratch);
                multiply(product, task, k, p, count, from, scratch);
                from = half - from;
                p += count;
            }
        }
    }

    /** Begins to pack some panels from one of the task's on; none if there are no terms left. */
    private static void start(
            BlockProduct product, Tile task, int panel, int most, int k, int to, int parts, Scratch scratch) {
        int count = Math.min(most, task.panels - panel);
        int terms = Math.min(TERMS, product.depth(task.group) - k);
        if (terms > 0 && count > 0) {
            scratch.feed.start(product, task.group, task.panel + panel, count, k, terms, to, parts, scratch);
        } else {
            scratch.feed.clear();
        }
    }

    /** Multiplies all rows with some packed panels. */
    private static void multiply(
            BlockProduct product, Tile task, int k, int first, int count, int packed, Scratch scratch) {
        int depth = product.depth(task.group);
        int terms = Math.min(TERMS, depth - k);
        for (int p = first; p < first + count; p++) {
            int tile = depth <= TERMS ? 0 : p * task.rows * TileKernels.PANEL;
            int panel = task.panel + p;
            if (k == 0) {
                product.begin(task.group, task.row, task.rows, panel, scratch.results.array(), tile);
            }
            multiply(task.rows, terms, packed + (p - first) * terms * TileKernels.PANEL, tile, scratch);
            if (k + terms == depth) {
                product.end(task.group, task.row, task.rows, panel, scratch.results.array(), tile, scratch);
            }
        }
    }

    private static void packRows(BlockProduct product, Tile task, int k, int terms, Scratch scratch) {
        scratch.rows(task.rows);
        Packer packer = scratch.packer.rows(scratch.rowsStorage(), 0, task.row, k);
        product.left.pack(task.group, task.row, task.rows, k, terms, packer, scratch);
    }

    /** Multiplies all rows with a panel, by as many as have their sums in registers together, and packs a piece of what comes next with each of them. */
    private static void multiply(int rows, int terms, int panel, int tile, Scratch scratch) {
        int chunks = Math.ceilDiv(rows, scratch.kernels.interleavedRows());
        for (int chunk = 0; chunk < chunks; chunk++) {
            int first = rows * chunk / chunks;
            int count = rows * (chunk + 1) / chunks - first;
            int left = first * TileKernels.ROW_STRIDE;
            scratch.feed.multiply(count, terms, left, panel, tile + first * TileKernels.PANEL, scratch);
        }
    }
}
