package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cpu.Scratch.Tile;
import dev.dropless.topology.BlockPattern;
import java.lang.foreign.MemorySegment;

/** A product at level 1: both operands are matrices and packed on the fly. {@link BlockTiles} computes its tasks; subclasses say where results go. */
abstract non-sealed class BlockProduct extends Product {

    final Operand left;
    final Operand right;

    BlockProduct(Operand left, Operand right) {
        this.left = left;
        this.right = right;
    }

    /** Whether {@link BlockUpdates} computes it, where it has two or more terms. */
    boolean inPlace() {
        return false;
    }

    /** Columns of a group's result. */
    abstract int columns(int group);

    @Override
    final int panels(int group) {
        return Math.ceilDiv(columns(group), TileKernels.PANEL);
    }

    /**
     * Writes part of a tile to rows of a result.
     *
     * @param from element of the tile
     * @param to element of the result's memory
     * @param stride from one row of the result to the next
     */
    static void write(int rows, int columns, int from, Matrix result, long to, long stride, Scratch scratch) {
        TileKernels kernels = scratch.kernels;
        MemorySegment tile = scratch.results.segment();
        ElementType type = result.type();
        boolean whole = columns == TileKernels.BLOCK || columns == TileKernels.PANEL;
        if (whole && type == ElementType.F32) {
            kernels.writeRows(rows, columns, tile, from, TileKernels.PANEL, result.segment(), to, stride);
        } else if (whole && type != ElementType.F64 && kernels.converts(Format.F32, Format.of(type))) {
            Format format = Format.of(type);
            kernels.convertRows(
                    rows, columns, Format.F32, tile, from, TileKernels.PANEL, format, result.segment(), to, stride);
        } else {
            for (int i = 0; i < rows; i++) {
                int at = from + i * TileKernels.PANEL;
                Rows.write(scratch.results.array(), at, columns, result.segment(), type, to + i * stride);
            }
        }
    }

    /** Shape of the groups of a product with a dense result. */
    interface Layout {
        int groups();

        long firstRow(int group);

        int rows(int group);

        long firstColumn(int group);

        int columns(int group);

        int depth(int group);
    }

    /** Result rectangles in a dense matrix. */
    static final class IntoDense extends BlockProduct {
        private final Layout layout;
        private final Matrix c;
        private final boolean accumulate;
        private final TileKernels kernels;

        IntoDense(TileKernels kernels, Operand left, Operand right, Layout layout, Matrix c, boolean accumulate) {
            super(left, right);
            this.kernels = kernels;
            this.layout = layout;
            this.c = c;
            this.accumulate = accumulate;
        }

        @Override
        boolean inPlace() {
            return c.type() == ElementType.F32 && !left.alongK() && kernels.updatesMatrices();
        }

        /** Where an element of a task begins in the memory of the result. */
        private long index(Tile task, int row, int panel) {
            long column = layout.firstColumn(task.group) + (long) (task.panel + panel) * TileKernels.PANEL;
            return c.index(layout.firstRow(task.group) + task.row + row, column);
        }

        /** Rows of a panel of a task. */
        Ahead nextRows(Tile task, int first, int rows, int panel, Ahead ahead) {
            ahead.set(c, index(task, first, panel), c.rowStride(), rows, TileKernels.PANEL);
            return ahead;
        }

        /**
         * Updates some rows of a panel of a task, all of whose columns are there, with some terms.
         *
         * @param first first row in the task
         * @param panel first panel in the task
         * @param next which panel will be updated after it, counted from it; one before it belongs to the rows that follow
         * @param k first term
         * @param from where the rows begin that are interleaved
         * @param packed number of the packed panel
         */
        void update(
                Tile task,
                int first,
                int rows,
                int panel,
                int next,
                int k,
                int terms,
                int from,
                int packed,
                Scratch scratch) {
            long ahead = (long) next * TileKernels.PANEL + (next > 0 ? 0 : rows * c.rowStride());
            scratch.kernels.updateMatrix(
                    rows,
                    terms,
                    scratch.rowsStorage(),
                    from,
                    scratch.packed(),
                    packed * terms * TileKernels.PANEL,
                    accumulate || k > 0,
                    c.segment(),
                    index(task, first, panel),
                    c.rowStride(),
                    ahead);
        }

        /** The same by a tile, for a panel of which only some columns are there or whose terms are too few. */
        void updateEdge(
                Tile task, int first, int rows, int panel, int k, int terms, int from, int packed, Scratch scratch) {
            int number = task.panel + panel;
            float[] tile = scratch.results(rows * TileKernels.PANEL);
            begin(task.group, task.row + first, rows, number, tile, 0, accumulate || k > 0);
            int panelOffset = packed * terms * TileKernels.PANEL;
            scratch.kernels.multiplyColumns(
                    rows, terms, scratch.rowsStorage(), from, scratch.packed(), panelOffset, scratch.results, 0);
            end(task.group, task.row + first, rows, number, tile, 0, scratch);
        }

        @Override
        int groups() {
            return layout.groups();
        }

        @Override
        int rows(int group) {
            return layout.rows(group);
        }

        @Override
        int columns(int group) {
            return layout.columns(group);
        }

        @Override
        int depth(int group) {
            return layout.depth(group);
        }

        @Override
        void begin(int group, int row, int rows, int panel, float[] tile, int offset) {
            begin(group, row, rows, panel, tile, offset, accumulate);
        }

        private void begin(int group, int row, int rows, int panel, float[] tile, int offset, boolean read) {
            super.begin(group, row, rows, panel, tile, offset);
            if (read) {
                int column = panel * TileKernels.PANEL;
                int count = Math.min(TileKernels.PANEL, columns(group) - column);
                long from = c.index(layout.firstRow(group) + row, layout.firstColumn(group) + column);
                if (count == TileKernels.PANEL && Rows.converts(kernels, c.type())) {
                    MemorySegment to = MemorySegment.ofArray(tile);
                    Rows.copy(kernels, rows, count, c, from, c.rowStride(), to, offset, TileKernels.PANEL);
                    return;
                }
                for (int i = 0; i < rows; i++) {
                    long first = from + i * c.rowStride();
                    Rows.read(c.segment(), c.type(), first, count, tile, offset + i * TileKernels.PANEL);
                }
            }
        }

        @Override
        void end(int group, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
            int column = panel * TileKernels.PANEL;
            int count = Math.min(TileKernels.PANEL, columns(group) - column);
            long to = c.index(layout.firstRow(group) + row, layout.firstColumn(group) + column);
            write(rows, count, offset, c, to, c.rowStride(), scratch);
        }
    }

    /** Result rectangles in a block-sparse matrix. */
    static final class IntoSparse extends BlockProduct {
        private final BlockRectangles rectangles;
        private final BlockSparseMatrix s;
        private final int depth;

        IntoSparse(Operand left, Operand right, BlockRectangles rectangles, BlockSparseMatrix s, int depth) {
            super(left, right);
            this.rectangles = rectangles;
            this.s = s;
            this.depth = depth;
        }

        @Override
        int groups() {
            return rectangles.count();
        }

        @Override
        int rows(int group) {
            return rectangles.rows(group);
        }

        @Override
        int columns(int group) {
            return rectangles.columns(group);
        }

        @Override
        int depth(int group) {
            return depth;
        }

        @Override
        void end(int group, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
            BlockPattern pattern = s.pattern();
            int column = panel * TileKernels.PANEL;
            int count = Math.min(TileKernels.PANEL, columns(group) - column);
            long firstRow = rectangles.firstRow(group) + row;
            long firstColumn = rectangles.firstColumn(group) + column;
            int blockRow = rectangles.firstBlockRow(group);
            for (int i = 0; i < rows; ) {
                while (pattern.rowOffset(blockRow + 1) <= firstRow + i) {
                    blockRow++;
                }
                int height = (int) Math.min(pattern.rowOffset(blockRow + 1) - firstRow - i, rows - i);
                int block = pattern.firstBlock(blockRow) + rectangles.firstEntry(group);
                for (int j = 0; j < count; ) {
                    int blockColumn = pattern.columnOf(block);
                    long end = pattern.columnOffset(blockColumn + 1);
                    if (end > firstColumn + j) {
                        int run = (int) Math.min(end - firstColumn - j, count - j);
                        long inside = (firstRow + i - pattern.rowOffset(blockRow)) * pattern.width(blockColumn)
                                + firstColumn
                                + j
                                - pattern.columnOffset(blockColumn);
                        long index = s.data().offset() + pattern.dataOffset(block) + inside;
                        write(
                                height,
                                run,
                                offset + i * TileKernels.PANEL + j,
                                s.data(),
                                index,
                                pattern.width(blockColumn),
                                scratch);
                        j += run;
                    }
                    block++;
                }
                i += height;
            }
        }
    }
}
