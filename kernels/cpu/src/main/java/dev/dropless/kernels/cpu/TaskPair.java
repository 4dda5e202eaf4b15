package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.Scratch.Tile;

/**
 * Computes a task of many rows and one of few in turn, slab by slab of their panels. Alone, the one of few rows would wait for memory, and the other one leave it idle; so what
 * both need next is fetched evenly over the rows of both.
 */
final class TaskPair {

    private TaskPair() {}

    static boolean isUseful(TileKernels kernels, Product product) {
        return kernels.fetchesAnything()
                && product instanceof ExpertProduct own
                && own.streams()
                && product.groups() > 0
                && product.depth(0) > 0
                && product.depth(0) <= ProductRunner.TERMS;
    }

    /** Computes the tiles that two scratches describe; they have the same number of panels, and {@code few} has no more rows. */
    static void compute(ProductRunner runner, ExpertProduct product, Scratch many, Scratch few) {
        int terms = product.depth(many.tile.group);
        prepare(runner, product, terms, many);
        prepare(runner, product, terms, few);
        for (int p = 0; p < many.tile.panels; p++) {
            begin(product, p, many);
            begin(product, p, few);
            boolean last = p + 1 == many.tile.panels;
            for (int k = 0; k < terms; k += TileKernels.DEPTH) {
                multiply(runner.kernels(), k, terms, last, many, few);
            }
            end(product, p, many);
            end(product, p, few);
        }
    }

    private static void prepare(ProductRunner runner, ExpertProduct product, int terms, Scratch scratch) {
        Tile task = scratch.tile;
        scratch.results(task.rows * TileKernels.PANEL);
        runner.packRows(product, task, 0, terms, scratch);
        product.preparePanels(task.group, task.panel, task.panels, 0, terms, scratch);
    }

    private static void begin(Product product, int p, Scratch scratch) {
        Tile task = scratch.tile;
        product.begin(task.group, task.row, task.rows, task.panel + p, scratch.results.array(), 0);
    }

    private static void end(Product product, int p, Scratch scratch) {
        Tile task = scratch.tile;
        product.end(task.group, task.row, task.rows, task.panel + p, scratch.results.array(), 0, scratch);
        scratch.panelOffset += scratch.panelStride;
    }

    /**
     * Multiplies a slab of each task. The first half of all rows fetches the slab of the second task, the rest the next one of the first task.
     *
     * @param last whether there is no next panel
     */
    private static void multiply(TileKernels kernels, int k, int terms, boolean last, Scratch many, Scratch few) {
        int count = Math.min(TileKernels.DEPTH, terms - k);
        int slab = count * TileKernels.PANEL;
        int half = (many.tile.rows + few.tile.rows) / 2;
        int rest = many.tile.rows - half;
        int from = few.panelOffset + k * TileKernels.PANEL;
        multiply(kernels, 0, half, k, count, many, few, from, slab);
        boolean within = k + count < terms;
        int next = within ? many.panelOffset + (k + count) * TileKernels.PANEL : many.panelOffset + many.panelStride;
        int length = within || !last ? slab : 0;
        int first = (int) ((long) length * rest / half);
        multiply(kernels, half, rest, k, count, many, many, next, first);
        multiply(kernels, 0, few.tile.rows, k, count, few, many, next + first, length - first);
    }

    /** Multiplies some rows of a task and fetches from the panels of one of both. */
    private static void multiply(
            TileKernels kernels,
            int row,
            int rows,
            int k,
            int count,
            Scratch task,
            Scratch next,
            int nextOffset,
            int nextLength) {
        int block = k / TileKernels.DEPTH * task.tile.rows;
        kernels.multiply(
                rows,
                count,
                task.rowsStorage(),
                (block + row) * TileKernels.ROW_STRIDE,
                task.panels,
                task.panelOffset + k * TileKernels.PANEL,
                task.results,
                row * TileKernels.PANEL,
                next.panels,
                nextOffset,
                nextLength);
    }
}
