package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.base;
import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rowStride;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Operands;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.kernels.tornado.engine.Tables;
import dev.dropless.topology.BlockPattern;

/** Level 1: every product is a grouped one; a transposed operand is one whose strides are exchanged. */
final class TornadoBlockSparseKernels implements BlockSparseKernels {

    private final Device device;
    private final TornadoMemory memory;
    private final TornadoElementwise elementwise;

    TornadoBlockSparseKernels(Device device, TornadoMemory memory, TornadoElementwise elementwise) {
        this.device = device;
        this.memory = memory;
        this.elementwise = elementwise;
    }

    /** From one row of op(matrix) to the next. */
    private static int rowStep(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? rowStride(matrix) : 1;
    }

    /** From one column of op(matrix) to the next. */
    private static int columnStep(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? 1 : rowStride(matrix);
    }

    @Override
    public void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.gemm(memory.space(), a, ta, b, tb, c);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            product(f.factor(a, b), ta, f.factor(b, a), tb, f.out(c, accumulate), accumulate);
            f.finish();
        }
    }

    private void product(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        GroupTable table = new GroupTable();
        if (table.group(rows(c), columns(c), base(c), rowStride(c), 1)) {
            table.segment(
                    base(a),
                    rowStep(a, ta),
                    columnStep(a, ta),
                    base(b),
                    rowStep(b, tb),
                    columnStep(b, tb),
                    ta == Transpose.N ? columns(a) : rows(a));
        }
        table.product(device, a.type(), accumulate);
    }

    @Override
    public void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        Operands.sdd(memory.space(), a, ta, b, tb, s);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            denseTimesDense(f.factor(a, b), ta, f.factor(b, a), tb, f.out(s));
            f.finish();
        }
    }

    /** One group for each block. */
    private void denseTimesDense(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        BlockPattern pattern = s.pattern();
        int depth = ta == Transpose.N ? columns(a) : rows(a);
        GroupTable table = new GroupTable();
        for (int z = 0; z < pattern.blocks(); z++) {
            int row = pattern.rowOf(z);
            int column = pattern.columnOf(z);
            int width = pattern.width(column);
            if (table.group(pattern.height(row), width, dataOf(s, z), width, 1)) {
                table.segment(
                        base(a) + (int) pattern.rowOffset(row) * rowStep(a, ta),
                        rowStep(a, ta),
                        columnStep(a, ta),
                        base(b) + (int) pattern.columnOffset(column) * columnStep(b, tb),
                        rowStep(b, tb),
                        columnStep(b, tb),
                        depth);
            }
        }
        table.product(device, a.type(), false);
    }

    private static int dataOf(BlockSparseMatrix s, int block) {
        return base(s.data()) + (int) s.pattern().dataOffset(block);
    }

    @Override
    public void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.dsd(memory.space(), s, ts, b, tb, c);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix right = f.factor(b, s.data());
            Matrix result = f.out(c, accumulate);
            int depth = rowStep(right, tb);
            int column = columnStep(right, tb);
            sparseTimesDense(
                    f.factor(s, b),
                    ts,
                    base(right),
                    depth,
                    column,
                    columns(c),
                    result,
                    rowStride(result),
                    1,
                    accumulate);
            f.finish();
        }
    }

    /** The transpose of dsd: c^T = op(s)^T op(a)^T. */
    @Override
    public void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate) {
        Operands.dds(memory.space(), a, ta, s, ts, c);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix left = f.factor(a, s.data());
            Matrix result = f.out(c, accumulate);
            int depth = columnStep(left, ta);
            int column = rowStep(left, ta);
            sparseTimesDense(
                    f.factor(s, a),
                    ts.flip(),
                    base(left),
                    depth,
                    column,
                    rows(c),
                    result,
                    1,
                    rowStride(result),
                    accumulate);
            f.finish();
        }
    }

    /** One group for each stripe of blocks of op(s), one segment for each of its blocks. */
    private void sparseTimesDense(
            BlockSparseMatrix s,
            Transpose ts,
            int bBase,
            int bDepth,
            int bColumn,
            int resultColumns,
            Matrix c,
            int cRow,
            int cColumn,
            boolean accumulate) {
        BlockPattern pattern = s.pattern();
        boolean plain = ts == Transpose.N;
        GroupTable table = new GroupTable();
        for (int stripe = 0; stripe < (plain ? pattern.blockRows() : pattern.blockColumns()); stripe++) {
            int first = (int) (plain ? pattern.rowOffset(stripe) : pattern.columnOffset(stripe));
            int height = plain ? pattern.height(stripe) : pattern.width(stripe);
            if (!table.group(height, resultColumns, base(c) + first * cRow, cRow, cColumn)) {
                continue;
            }
            int end = plain ? pattern.firstBlock(stripe + 1) : pattern.firstTransposed(stripe + 1);
            for (int n = plain ? pattern.firstBlock(stripe) : pattern.firstTransposed(stripe); n < end; n++) {
                int z = plain ? n : pattern.transposedBlock(n);
                int row = pattern.rowOf(z);
                int column = pattern.columnOf(z);
                int width = pattern.width(column);
                int depth = plain ? width : pattern.height(row);
                int along = (int) (plain ? pattern.columnOffset(column) : pattern.rowOffset(row));
                table.segment(
                        dataOf(s, z),
                        plain ? width : 1,
                        plain ? 1 : width,
                        bBase + along * bDepth,
                        bDepth,
                        bColumn,
                        depth);
            }
        }
        table.product(device, s.data().type(), accumulate);
    }

    @Override
    public void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        Operands.multiply(memory.space(), x, y, result);
        elementwise.multiply(x.data(), y.data(), result.data(), false);
    }

    @Override
    public void toDense(BlockSparseMatrix s, Matrix dense) {
        Operands.conversion(memory.space(), s, dense);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix wide = f.out(dense);
            elementwise.fill(wide, 0);
            copyBlocks(f.in(s), wide, true);
            f.finish();
        }
    }

    @Override
    public void fromDense(Matrix dense, BlockSparseMatrix s) {
        Operands.conversion(memory.space(), s, dense);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            copyBlocks(f.out(s), f.in(dense), false);
            f.finish();
        }
    }

    private void copyBlocks(BlockSparseMatrix s, Matrix dense, boolean toDense) {
        BlockPattern pattern = s.pattern();
        int[] records = new int[Math.multiplyExact(pattern.blocks(), Tables.BLOCK_WORDS)];
        int largest = 0;
        for (int z = 0; z < pattern.blocks(); z++) {
            int row = pattern.rowOf(z);
            int column = pattern.columnOf(z);
            int at = z * Tables.BLOCK_WORDS;
            records[at] = (int) pattern.dataOffset(z);
            records[at + 1] = (int) pattern.rowOffset(row);
            records[at + 2] = (int) pattern.columnOffset(column);
            records[at + 3] = pattern.height(row);
            records[at + 4] = pattern.width(column);
            largest = Math.max(largest, pattern.height(row) * pattern.width(column));
        }
        int offset = device.takeInts(records);
        try {
            device.launch(
                    Kernel.COPY_BLOCKS,
                    new Arguments()
                            .add(pattern.blocks(), largest, offset, base(s.data()))
                            .matrix(dense)
                            .flag(toDense),
                    largest,
                    pattern.blocks());
        } finally {
            device.giveInts(offset);
        }
    }
}
