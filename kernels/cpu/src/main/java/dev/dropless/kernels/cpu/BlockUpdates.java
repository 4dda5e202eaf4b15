package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.Scratch.Tile;
import java.lang.foreign.MemorySegment;

/**
 * Computes tasks of {@link BlockProduct}s in place: the left operand lies across k, so that interleaving its rows copies runs of them, and the result is a matrix of floats.
 *
 * <p>A few rows, as many as have their sums in registers together, are multiplied with one panel after the other, so that long pieces of these rows of the result are updated, while the
 * panels stay in the second-level cache.
 */
final class BlockUpdates {

    /** Most elements of packed panels: 1 MB. */
    private static final int PANEL_ELEMENTS = 1 << 18;
    /** Most elements of interleaved rows, which come in their order and need not stay near. */
    private static final int ROW_ELEMENTS = 1 << 19;
    /** Terms that are packed at a time. */
    private static final int TERMS = 512;
    /** Rows of a task at most. */
    private static final int MAX_ROWS = 2048;
    /** Terms that are copied at a time before they are interleaved. */
    private static final int COPIED_TERMS = 16;

    private BlockUpdates() {}

    static int maxRows(int depth) {
        return Math.min(ROW_ELEMENTS / Math.clamp(depth, 1, TERMS), MAX_ROWS);
    }

    static void compute(BlockProduct.IntoDense product, Tile task, Scratch scratch) {
        int depth = product.depth(task.group);
        for (int k = 0; k < depth; ) {
            int terms = depth - k <= TERMS ? depth - k : Math.min(TERMS, depth - k - 2); // two or more are left
            packRows(product, task, k, terms, scratch);
            int most = Math.clamp(PANEL_ELEMENTS / (terms * TileKernels.PANEL), 1, task.panels);
            for (int p = 0; p < task.panels; p += most) {
                int count = Math.min(most, task.panels - p);
                packPanels(product, task, p, count, k, terms, scratch);
                multiply(product, task, p, count, k, terms, scratch);
            }
            k += terms;
        }
    }

    private static void packRows(BlockProduct product, Tile task, int k, int terms, Scratch scratch) {
        int height = scratch.kernels.interleavedRows();
        int groups = Math.ceilDiv(task.rows, height);
        int line = groups * height + TileKernels.BLOCK;
        scratch.interleaved(groups * terms);
        scratch.buffer(1, COPIED_TERMS * line);
        MemorySegment target = scratch.rowsStorage().segment();
        for (int term = 0; term < terms; term += COPIED_TERMS) {
            int count = Math.min(COPIED_TERMS, terms - term);
            Storage lines = scratch.bufferStorage(1);
            Packer packer = scratch.packer.lines(lines, line, task.row, k + term);
            product.left.pack(task.group, task.row, task.rows, k + term, count, packer, scratch);
            int to = term * TileKernels.BLOCK;
            int step = terms * TileKernels.BLOCK;
            scratch.kernels.copyPieces(
                    groups,
                    count,
                    TileKernels.BLOCK,
                    lines.segment(),
                    0,
                    height,
                    line,
                    target,
                    to,
                    step,
                    TileKernels.BLOCK);
        }
    }

    private static void packPanels(
            BlockProduct product, Tile task, int panel, int count, int k, int terms, Scratch scratch) {
        int first = (task.panel + panel) * TileKernels.PANEL;
        int width = Math.min(count * TileKernels.PANEL, product.columns(task.group) - first);
        Storage packed = scratch.packPanels(count, terms);
        Packer packer = scratch.packer.panels(packed, 0, terms, first, k);
        if (width < count * TileKernels.PANEL) {
            packer.clearPanel(first + (count - 1) * TileKernels.PANEL);
        }
        product.right.pack(task.group, first, width, k, terms, packer, scratch);
    }

    private static void multiply(
            BlockProduct.IntoDense product, Tile task, int panel, int count, int k, int terms, Scratch scratch) {
        int height = scratch.kernels.interleavedRows();
        int whole = Math.min(count, product.columns(task.group) / TileKernels.PANEL - task.panel - panel);
        for (int first = 0; first < task.rows; first += height) {
            int rows = Math.min(height, task.rows - first);
            int from = first / height * terms * TileKernels.BLOCK;
            for (int p = 0; p < whole; p++) {
                if (p == whole - 1) {
                    scratch.kernels.fetch(product.nextRows(task, first + rows, rows, panel, scratch.ahead));
                }
                product.update(
                        task, first, rows, panel + p, p == whole - 1 ? 1 - whole : 1, k, terms, from, p, scratch);
            }
            if (whole < count) {
                product.updateEdge(task, first, rows, panel + whole, k, terms, from, whole, scratch);
            }
        }
    }
}
