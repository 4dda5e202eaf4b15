package dev.dropless.kernels.cpu;

import dev.dropless.topology.TaskRunner;

/**
 * Computes {@link Product}s: cuts them into tasks, packs operands into blocks that fit the caches and calls the tier's kernels.
 *
 * <p>Within a task: for every slab of {@link TileKernels#DEPTH} terms the rows are packed once, then for every panel all rows are multiplied, so that a panel
 * comes from memory once per task and the block of rows stays in the second-level cache. Each element of a result is computed by one task in ascending k,
 * so nothing depends on how the work was cut.
 */
final class ProductRunner {

    /** Rows of a packed block of full depth: with their stride 650 KB. */
    private static final int FULL_DEPTH_ROWS = 160;
    /** Rows of a packed block at most: limits the time of one call of emitted code, and the pages that a column of the block lies on. */
    private static final int MAX_ROWS = 4 * FULL_DEPTH_ROWS;

    private final TileKernels kernels;
    private final TaskRunner tasks;
    private final Scratch.Pool scratches;

    ProductRunner(TileKernels kernels, TaskRunner tasks, Scratch.Pool scratches) {
        this.kernels = kernels;
        this.tasks = tasks;
        this.scratches = scratches;
    }

    /** Rows of a packed block: the more, the less often the right operand is read; shallow blocks may be higher and still fit the second-level cache. */
    static int maxRows(int depth) {
        int slab = Math.clamp(depth, 1, TileKernels.DEPTH);
        return Math.min(FULL_DEPTH_ROWS * TileKernels.DEPTH / slab, MAX_ROWS);
    }

    TileKernels kernels() {
        return kernels;
    }

    TaskRunner tasks() {
        return tasks;
    }

    Scratch.Pool scratches() {
        return scratches;
    }

    void run(Product product) {
        WorkList work = WorkList.of(product, tasks.parallelism());
        tasks.run(work.size(), i -> {
            Scratch scratch = scratches.take();
            compute(product, work.group(i), work.row(i), work.rows(i), work.panel(i), work.panels(i), scratch);
            scratches.give(scratch);
        });
    }

    private void compute(Product product, int group, int row, int rows, int panel, int panels, Scratch scratch) {
        int depth = product.depth(group);
        int tileSize = rows * TileKernels.PANEL;
        boolean oneSlab = depth <= TileKernels.DEPTH;
        float[] results = scratch.results(oneSlab ? tileSize : panels * tileSize);
        scratch.rows = Scratch.grown(scratch.rows, rows * TileKernels.ROW_STRIDE);
        scratch.height = rows;
        for (int k = 0; k == 0 || k < depth; k += TileKernels.DEPTH) {
            int slab = Math.min(TileKernels.DEPTH, depth - k);
            if (slab > 0) {
                product.packRows(group, row, rows, k, slab, scratch);
            }
            int ready = 0;
            for (int p = 0; p < panels; p++) {
                Storage place = product.inPlace(group, panel + p);
                int tile = oneSlab ? 0 : p * tileSize;
                if (k == 0 && place == null) {
                    product.begin(group, row, rows, panel + p, results, tile);
                }
                if (slab > 0) {
                    if (ready == 0) {
                        ready = product.preparePanels(group, panel + p, panels - p, k, slab, scratch);
                    }
                    if (place == null) {
                        multiply(rows, slab, scratch, tile);
                    } else {
                        multiplyInPlace(product, group, row, rows, panel + p, slab, place, scratch);
                    }
                    scratch.panelOffset += scratch.panelStride;
                    scratch.aheadOffset += scratch.aheadStride;
                    ready--;
                }
                if (k + slab == depth && place == null) {
                    product.end(group, row, rows, panel + p, results, tile, scratch);
                }
            }
        }
    }

    /** Panels come from memory: while one is multiplied, the next is fetched. */
    private void multiply(int rows, int slab, Scratch scratch, int tile) {
        kernels.multiply(
                rows,
                slab,
                scratch.rows,
                0,
                scratch.panels,
                scratch.panelOffset,
                scratch.results,
                tile,
                scratch.ahead,
                scratch.aheadOffset,
                scratch.aheadLength);
    }

    /** Results come from memory: while one tile is computed, the next is fetched. */
    private void multiplyInPlace(
            Product product, int group, int row, int rows, int panel, int slab, Storage place, Scratch scratch) {
        int tile = product.inPlaceOffset(group, row, panel);
        int next = product.inPlaceOffset(group, row, panel + 1);
        int length = rows * TileKernels.PANEL;
        kernels.multiply(
                rows, slab, scratch.rows, 0, scratch.panels, scratch.panelOffset, place, tile, place, next, length);
    }
}
