package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.Scratch.Tile;
import dev.dropless.topology.TaskRunner;
import java.util.Arrays;
import java.util.Objects;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Computes {@link Product}s: cuts them into tasks, packs operands into blocks that fit the caches and calls the tier's kernels.
 *
 * <p>Within a task a block of rows, with up to {@link #TERMS} terms of each, is packed once and stays in the second-level cache, while panel after panel of the
 * other operand comes from memory and is multiplied with all of it. Each element of a result is computed by one task in ascending k, so nothing depends
 * on how the work was cut.
 */
final class ProductRunner {

    /** Terms packed at a time: with more of them the results of all panels wait in memory for the next ones. */
    static final int TERMS = 2 * TileKernels.DEPTH;

    /** Elements of a packed block: 1 MB, which leaves room in the second-level cache for two panels, or on some processors is all of it. */
    private static final int BLOCK_ELEMENTS = 1 << 18;
    /** Terms of a narrow panel that are widened at a time: 64 KB. */
    private static final int WIDENED_TERMS = 512;

    /** Rows of a packed block at most: limits the pages that a column of the block lies on. */
    private static final int MAX_ROWS = 640;
    /** The same where rows are interleaved: limits the time of one call of emitted code. */
    private static final int MAX_INTERLEAVED_ROWS = 2048;

    private final TileKernels kernels;
    private final TaskRunner tasks;
    private final Pool<Scratch> scratches;

    ProductRunner(TileKernels kernels, TaskRunner tasks, Pool<Scratch> scratches) {
        this.kernels = kernels;
        this.tasks = tasks;
        this.scratches = scratches;
    }

    /** Rows of a packed block: the more, the less often the right operand is read; shallow blocks may be higher and still fit the second-level cache. */
    static int maxRows(Product product, int group) {
        return switch (product) {
            case ExpertProduct own -> maxRows(own, group);
            case BlockProduct blocks -> BlockTiles.maxRows(blocks, group);
        };
    }

    private static int maxRows(ExpertProduct product, int group) {
        int most = product.form() == ExpertProduct.Form.COLUMNS ? MAX_INTERLEAVED_ROWS : MAX_ROWS;
        int rows = Math.min(BLOCK_ELEMENTS / Math.clamp(product.depth(group), 1, TERMS), most);
        return rows - rows % rowUnit(product);
    }

    /** What rows of a product are cut into multiples of: where they are packed as panels, the last one of every task is filled up. */
    static int rowUnit(Product product) {
        return product instanceof ExpertProduct own && own.form() == ExpertProduct.Form.WEIGHTS_LEFT
                ? TileKernels.PANEL
                : 1;
    }

    TileKernels kernels() {
        return kernels;
    }

    TaskRunner tasks() {
        return tasks;
    }

    Pool<Scratch> scratches() {
        return scratches;
    }

    void run(Product product) {
        Scratch own = scratches.take();
        try {
            Call call = own.call;
            call.work.list(product, tasks.parallelism(), TaskPair.isUseful(kernels, product));
            call.runner = this;
            call.product = product;
            tasks.run(call.work.size(), call);
        } finally {
            scratches.give(own);
        }
    }

    /** A product and its tasks. Kept with the memory of whoever started it, so that a call allocates none. */
    static final class Call implements IntConsumer, Pool.Reusable {
        private final WorkList work = new WorkList();
        private @Nullable ProductRunner runner;
        private @Nullable Product product;

        @Override
        public void accept(int i) {
            Objects.requireNonNull(runner).compute(Objects.requireNonNull(product), work, i);
        }

        @Override
        public void clear() {
            product = null;
        }
    }

    private void compute(Product product, WorkList work, int i) {
        Scratch scratch = scratches.take();
        try {
            work.read(i, scratch.tile);
            switch (product) {
                case ExpertProduct own -> compute(own, work, i, scratch);
                case BlockProduct blocks -> BlockTiles.compute(blocks, scratch.tile, scratch);
            }
        } finally {
            scratches.give(scratch);
        }
    }

    private void compute(ExpertProduct product, WorkList work, int i, Scratch scratch) {
        if (work.hasPartner(i)) {
            computePair(product, work, i, scratch);
        } else if (product.form() == ExpertProduct.Form.WEIGHTS_LEFT) {
            computeTransposed(product, scratch.tile, scratch);
        } else {
            compute(product, scratch.tile, scratch);
        }
    }

    private void computePair(ExpertProduct product, WorkList work, int i, Scratch scratch) {
        Scratch partner = scratches.take();
        try {
            work.readPartner(i, partner.tile);
            TaskPair.compute(this, product, scratch, partner);
        } finally {
            scratches.give(partner);
        }
    }

    private void compute(ExpertProduct product, Tile task, Scratch scratch) {
        int depth = product.depth(task.group);
        int tileSize = task.rows * TileKernels.PANEL;
        boolean atOnce = depth <= TERMS;
        float[] results = scratch.results(atOnce ? tileSize : task.panels * tileSize);
        for (int k = 0; k == 0 || k < depth; k += TERMS) {
            int terms = Math.min(TERMS, depth - k);
            packRows(product, task, k, terms, scratch);
            int ready = 0;
            for (int p = 0; p < task.panels; p++) {
                int panel = task.panel + p;
                Storage place = product.inPlace(task.group, panel);
                int tile = atOnce ? 0 : p * tileSize;
                if (k == 0 && place == null) {
                    product.begin(task.group, task.row, task.rows, panel, results, tile);
                }
                if (terms > 0) {
                    if (ready == 0) {
                        ready = product.preparePanels(task.group, panel, task.panels - p, k, terms, scratch);
                    }
                    if (place == null) {
                        multiply(product, task.rows, terms, scratch.results, tile, scratch);
                    } else {
                        int offset = product.inPlaceOffset(task.group, task.row, panel);
                        multiply(product, task.rows, terms, place, offset, scratch);
                    }
                    scratch.panelOffset += scratch.panelStride;
                    ready--;
                }
                if (k + terms == depth && place == null) {
                    product.end(task.group, task.row, task.rows, panel, results, tile, scratch);
                }
            }
        }
    }

    /** Packs terms in slabs of {@link TileKernels#DEPTH}, one after the other, or interleaved at once. */
    void packRows(ExpertProduct product, Tile task, int k, int terms, Scratch scratch) {
        scratch.rowsOffset = 0;
        if (product.form() == ExpertProduct.Form.COLUMNS) {
            scratch.interleaved(Math.ceilDiv(task.rows, kernels.interleavedRows()) * terms);
            product.packRows(task.group, task.row, task.rows, k, terms, scratch);
            return;
        }
        scratch.rows(Math.ceilDiv(terms, TileKernels.DEPTH) * task.rows);
        for (int slab = 0; slab < terms; slab += TileKernels.DEPTH) {
            product.packRows(
                    task.group, task.row, task.rows, k + slab, Math.min(TileKernels.DEPTH, terms - slab), scratch);
            scratch.rowsOffset += task.rows * TileKernels.ROW_STRIDE;
        }
    }

    /** Multiplies all packed terms with one panel. Panels come from memory: while a slab of one is multiplied, the next slab is fetched. */
    private void multiply(ExpertProduct product, int rows, int terms, Storage c, int cOffset, Scratch scratch) {
        Storage panels = scratch.panels;
        int offset = scratch.panelOffset;
        if (product.form() == ExpertProduct.Form.COLUMNS) {
            kernels.multiplyColumns(rows, terms, scratch.rowsStorage(), 0, panels, offset, c, cOffset);
            return;
        }
        int block = rows * TileKernels.ROW_STRIDE;
        int perTerm = product.paired() ? 2 * TileKernels.PANEL : TileKernels.PANEL;
        for (int slab = 0; slab < terms; slab += TileKernels.DEPTH) {
            int count = Math.min(TileKernels.DEPTH, terms - slab);
            int from = offset + slab * perTerm;
            int left = slab / TileKernels.DEPTH * block;
            if (product.paired()) {
                multiplyPaired(rows, count, left, from, c, cOffset, scratch);
                continue;
            }
            if (!panels.isFloats() && rows > kernels.narrowRows()) {
                multiplyWidened(rows, count, left, from, c, cOffset, scratch);
                continue;
            }
            int perFloat = Float.BYTES / panels.format().bytes();
            int next = slab + count < terms ? from + count * TileKernels.PANEL : offset + scratch.panelStride;
            int length = scratch.panelsAreCached() ? 0 : count * TileKernels.PANEL;
            kernels.multiply(
                    rows,
                    count,
                    scratch.rowsStorage(),
                    left,
                    panels,
                    from,
                    c,
                    cOffset,
                    panels,
                    next / perFloat,
                    length / perFloat);
        }
    }

    /** Widens some terms of a narrow panel, which are then near for all rows, and multiplies; meanwhile the same terms of the next panel are fetched. */
    private void multiplyWidened(int rows, int terms, int left, int offset, Storage c, int cOffset, Scratch scratch) {
        Storage panels = scratch.panels;
        Storage floats = scratch.converted(WIDENED_TERMS * TileKernels.PANEL);
        int perFloat = Float.BYTES / panels.format().bytes();
        for (int k = 0; k < terms; k += WIDENED_TERMS) {
            int count = Math.min(WIDENED_TERMS, terms - k);
            int from = offset + k * TileKernels.PANEL;
            panels.widen(kernels, from, count, floats, 0);
            kernels.multiply(
                    rows,
                    count,
                    scratch.rowsStorage(),
                    left + k,
                    floats,
                    0,
                    c,
                    cOffset,
                    panels,
                    (from + scratch.panelStride) / perFloat,
                    count * TileKernels.PANEL / perFloat);
        }
    }

    /** The same by pairs of terms in bfloat16. */
    private void multiplyPaired(int rows, int pairs, int left, int offset, Storage c, int cOffset, Scratch scratch) {
        Storage panels = scratch.panels;
        Storage paired = scratch.converted(WIDENED_TERMS * TileKernels.PANEL);
        for (int k = 0; k < pairs; k += WIDENED_TERMS) {
            int count = Math.min(WIDENED_TERMS, pairs - k);
            int from = offset + 2 * k * TileKernels.PANEL;
            kernels.pairRows(count, panels.segment(), from, paired.array(), paired.base());
            kernels.multiplyPairs(
                    rows,
                    count,
                    scratch.rowsStorage(),
                    left + k,
                    paired,
                    0,
                    c,
                    cOffset,
                    panels,
                    (from + scratch.panelStride) / 2,
                    count * TileKernels.PANEL);
        }
    }

    /**
     * The same with the sides exchanged: weights are the left operand, as they lie in memory, and the rows of the product are columns of panels. A result is
     * transposed once it is finished.
     */
    private void computeTransposed(ExpertProduct product, Tile task, Scratch scratch) {
        int depth = product.depth(task.group);
        int columns = Math.ceilDiv(task.rows, TileKernels.PANEL); // panels of rows
        int tileSize = columns * TileKernels.PANEL * TileKernels.PANEL;
        boolean atOnce = depth <= TERMS;
        float[] products = scratch.products(atOnce ? tileSize : task.panels * tileSize);
        float[] results = scratch.results(tileSize);
        for (int k = 0; k == 0 || k < depth; k += TERMS) {
            int terms = Math.min(TERMS, depth - k);
            packTransposed(product, task, k, terms, scratch);
            for (int p = 0; p < task.panels; p++) {
                int panel = task.panel + p;
                int tile = atOnce ? 0 : p * tileSize;
                if (k == 0) {
                    Arrays.fill(products, tile, tile + tileSize, 0f);
                }
                multiplyTransposed(product, task, panel, k, terms, tile, scratch);
                if (k + terms == depth) {
                    for (int column = 0; column < columns; column++) {
                        transposeTile(
                                tile + column * TileKernels.PANEL * TileKernels.PANEL,
                                column * TileKernels.PANEL * TileKernels.PANEL,
                                scratch);
                    }
                    product.end(task.group, task.row, task.rows, panel, results, 0, scratch);
                }
            }
        }
    }

    /** Packs rows as panels [k][PANEL]; what is missing in the last one is zero. */
    private void packTransposed(ExpertProduct product, Tile task, int k, int terms, Scratch scratch) {
        int block = TileKernels.BLOCK;
        int panelSize = terms * TileKernels.PANEL;
        scratch.packPanels(Math.ceilDiv(task.rows, TileKernels.PANEL), terms);
        scratch.rows(block);
        for (int first = 0; first < task.rows; first += block) {
            int count = Math.min(block, task.rows - first);
            int to = first / TileKernels.PANEL * panelSize + first % TileKernels.PANEL;
            for (int slab = 0; slab < terms; slab += TileKernels.DEPTH) {
                int depth = Math.min(TileKernels.DEPTH, terms - slab);
                scratch.rowsOffset = 0;
                product.packRows(task.group, task.row + first, count, k + slab, depth, scratch);
                for (int i = count; i < block; i++) {
                    int row = i * TileKernels.ROW_STRIDE;
                    Arrays.fill(scratch.rows, row, row + depth, 0f);
                }
                kernels.transpose(
                        depth / block,
                        scratch.rowsStorage(),
                        0,
                        TileKernels.ROW_STRIDE,
                        block,
                        scratch.packed(),
                        to + slab * TileKernels.PANEL,
                        TileKernels.PANEL,
                        block * TileKernels.PANEL);
            }
        }
    }

    /**
     * All columns with the weights of as many results as have their sums in registers together, then with the next ones: those are fetched meanwhile, and little else passes
     * through the cache before they are read.
     */
    private void multiplyTransposed(
            ExpertProduct product, Tile task, int panel, int k, int terms, int tile, Scratch scratch) {
        int height = product.prepareTile(task.group, panel, k, terms, scratch);
        int columns = Math.ceilDiv(task.rows, TileKernels.PANEL);
        int groups = Math.ceilDiv(height, kernels.interleavedRows());
        for (int group = 0; group < groups; group++) {
            int first = height * group / groups;
            int last = height * (group + 1) / groups;
            int piece = Math.ceilDiv((last - first) * TileKernels.PANEL, columns);
            for (int column = 0; column < columns; column++) {
                int missing = task.rows - column * TileKernels.PANEL;
                kernels.multiplyPanels(
                        last - first,
                        terms,
                        missing <= TileKernels.BLOCK ? TileKernels.BLOCK : TileKernels.PANEL,
                        scratch.panels,
                        scratch.panelOffset + first * TileKernels.PANEL,
                        scratch.panelStride,
                        scratch.packed(),
                        column * terms * TileKernels.PANEL,
                        scratch.productsStorage(),
                        tile + (column * TileKernels.PANEL + first) * TileKernels.PANEL,
                        scratch.panelOffset + last * TileKernels.PANEL + column * piece,
                        scratch.panelsAreCached() ? 0 : piece);
            }
        }
    }

    private void transposeTile(int from, int to, Scratch scratch) {
        Storage products = scratch.productsStorage();
        Storage results = scratch.results;
        int block = TileKernels.BLOCK;
        int panel = TileKernels.PANEL;
        for (int i = 0; i < panel; i += block) {
            kernels.transpose(
                    panel / block, products, from + i * panel, panel, block, results, to + i, panel, block * panel);
        }
    }
}
