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

    /** Rows of a packed block: with their stride 650 KB. */
    static final int MAX_ROWS = 160;

    private final TileKernels kernels;
    private final TaskRunner tasks;
    private final Scratch.Pool scratches;

    ProductRunner(TileKernels kernels, TaskRunner tasks, Scratch.Pool scratches) {
        this.kernels = kernels;
        this.tasks = tasks;
        this.scratches = scratches;
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
        scratch.results = Scratch.grown(scratch.results, oneSlab ? tileSize : panels * tileSize);
        float[] results = scratch.results;
        scratch.rows = Scratch.grown(scratch.rows, rows * TileKernels.ROW_STRIDE);
        for (int k = 0; k == 0 || k < depth; k += TileKernels.DEPTH) {
            int slab = Math.min(TileKernels.DEPTH, depth - k);
            if (slab > 0) {
                product.packRows(group, row, rows, k, slab, scratch);
            }
            int ready = 0;
            for (int p = 0; p < panels; p++) {
                int tile = oneSlab ? 0 : p * tileSize;
                if (k == 0) {
                    product.begin(group, row, rows, panel + p, results, tile);
                }
                if (slab > 0) {
                    if (ready == 0) {
                        ready = product.preparePanels(group, panel + p, panels - p, k, slab, scratch);
                    }
                    int next = scratch.panelOffset + scratch.panelStride;
                    kernels.multiply(
                            rows, slab, scratch.rows, 0, scratch.panels, scratch.panelOffset, next, results, tile);
                    scratch.panelOffset = next;
                    ready--;
                }
                if (k + slab == depth) {
                    product.end(group, row, rows, panel + p, results, tile, scratch);
                }
            }
        }
    }
}
