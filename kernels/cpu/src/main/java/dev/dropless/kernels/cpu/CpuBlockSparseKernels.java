package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Operands;
import dev.dropless.topology.BlockPattern;
import java.util.Arrays;

/** Level 1: every operation is cut into dense rectangles, which {@link ProductRunner} computes with the same kernels as the expert path. */
final class CpuBlockSparseKernels implements BlockSparseKernels {

    private static final MemorySpace SPACE = MemorySpace.HOST;
    private static final long[] FROM_ZERO = {};
    /** Elements of a piece of elementwise work. */
    private static final int PIECE = 1 << 13;

    private final ProductRunner runner;

    CpuBlockSparseKernels(ProductRunner runner) {
        this.runner = runner;
    }

    @Override
    public void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.gemm(SPACE, a, ta, b, tb, c);
        int depth = Math.toIntExact(ta == Transpose.N ? a.columns() : a.rows());
        Operand.Terms terms = Operand.AllTerms.of(depth);
        Operand left = new Operand.Dense(a, ta == Transpose.N, FROM_ZERO, terms);
        Operand right = new Operand.Dense(b, tb == Transpose.T, FROM_ZERO, terms);
        runner.run(new BlockProduct.IntoDense(runner.kernels(), left, right, new Whole(c, depth), c, accumulate));
    }

    private record Whole(Matrix c, int depth) implements BlockProduct.Layout {
        @Override
        public int groups() {
            return 1;
        }

        @Override
        public long firstRow(int group) {
            return 0;
        }

        @Override
        public int rows(int group) {
            return Math.toIntExact(c.rows());
        }

        @Override
        public long firstColumn(int group) {
            return 0;
        }

        @Override
        public int columns(int group) {
            return Math.toIntExact(c.columns());
        }

        @Override
        public int depth(int group) {
            return depth;
        }
    }

    @Override
    public void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        Operands.sdd(SPACE, a, ta, b, tb, s);
        int depth = Math.toIntExact(ta == Transpose.N ? a.columns() : a.rows());
        BlockRectangles rectangles = new BlockRectangles(s.pattern());
        Operand.Terms terms = Operand.AllTerms.of(depth);
        Operand left = new Operand.Dense(a, ta == Transpose.N, rectangles.firstRows(), terms);
        Operand right = new Operand.Dense(b, tb == Transpose.T, rectangles.firstColumns(), terms);
        runner.run(new BlockProduct.IntoSparse(left, right, rectangles, s, depth));
    }

    @Override
    public void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.dsd(SPACE, s, ts, b, tb, c);
        StripeGroups groups = new StripeGroups(s.pattern(), ts);
        Operand left = new Operand.Sparse(s, groups, ts == Transpose.N);
        Operand right = new Operand.Dense(b, tb == Transpose.T, FROM_ZERO, new Operand.BlockTerms(groups));
        runner.run(new BlockProduct.IntoDense(runner.kernels(), left, right, new RowStripes(groups, c), c, accumulate));
    }

    private record RowStripes(StripeGroups stripes, Matrix c) implements BlockProduct.Layout {
        @Override
        public int groups() {
            return stripes.groups();
        }

        @Override
        public long firstRow(int group) {
            return stripes.offset(group);
        }

        @Override
        public int rows(int group) {
            return stripes.size(group);
        }

        @Override
        public long firstColumn(int group) {
            return 0;
        }

        @Override
        public int columns(int group) {
            return Math.toIntExact(c.columns());
        }

        @Override
        public int depth(int group) {
            return stripes.depth(group);
        }
    }

    @Override
    public void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate) {
        Operands.dds(SPACE, a, ta, s, ts, c);
        StripeGroups groups = new StripeGroups(s.pattern(), ts.flip());
        Operand left = new Operand.Dense(a, ta == Transpose.N, FROM_ZERO, new Operand.BlockTerms(groups));
        Operand right = new Operand.Sparse(s, groups, ts == Transpose.T);
        runner.run(
                new BlockProduct.IntoDense(runner.kernels(), left, right, new ColumnStripes(groups, c), c, accumulate));
    }

    private record ColumnStripes(StripeGroups stripes, Matrix c) implements BlockProduct.Layout {
        @Override
        public int groups() {
            return stripes.groups();
        }

        @Override
        public long firstRow(int group) {
            return 0;
        }

        @Override
        public int rows(int group) {
            return Math.toIntExact(c.rows());
        }

        @Override
        public long firstColumn(int group) {
            return stripes.offset(group);
        }

        @Override
        public int columns(int group) {
            return stripes.size(group);
        }

        @Override
        public int depth(int group) {
            return stripes.depth(group);
        }
    }

    @Override
    public void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        Operands.multiply(SPACE, x, y, result);
        long elements = x.pattern().elements();
        runner.tasks().run(Math.toIntExact(Math.ceilDiv(elements, PIECE)), piece -> {
            Scratch scratch = runner.scratches().take();
            long first = (long) piece * PIECE;
            int count = (int) Math.min(PIECE, elements - first);
            float[] left = scratch.buffer(0, PIECE);
            float[] right = scratch.buffer(1, PIECE);
            Rows.read(x.data(), 0, first, count, left, 0);
            Rows.read(y.data(), 0, first, count, right, 0);
            for (int i = 0; i < count; i++) {
                left[i] *= right[i];
            }
            Rows.write(left, 0, count, result.data(), 0, first);
            runner.scratches().give(scratch);
        });
    }

    @Override
    public void toDense(BlockSparseMatrix s, Matrix dense) {
        Operands.conversion(SPACE, s, dense);
        runner.tasks().run(s.pattern().blockRows(), blockRow -> {
            Scratch scratch = runner.scratches().take();
            long first = s.pattern().rowOffset(blockRow);
            float[] zeros = scratch.buffer(1, PIECE);
            Arrays.fill(zeros, 0, PIECE, 0f);
            for (long i = first; i < s.pattern().rowOffset(blockRow + 1); i++) {
                for (long j = 0; j < dense.columns(); j += PIECE) {
                    Rows.write(zeros, 0, (int) Math.min(PIECE, dense.columns() - j), dense, i, j);
                }
            }
            copyBlocks(s, blockRow, dense, true, scratch);
            runner.scratches().give(scratch);
        });
    }

    @Override
    public void fromDense(Matrix dense, BlockSparseMatrix s) {
        Operands.conversion(SPACE, s, dense);
        runner.tasks().run(s.pattern().blockRows(), blockRow -> {
            Scratch scratch = runner.scratches().take();
            copyBlocks(s, blockRow, dense, false, scratch);
            runner.scratches().give(scratch);
        });
    }

    /** Copies the blocks of one block row to or from their places in a dense matrix. */
    private static void copyBlocks(BlockSparseMatrix s, int blockRow, Matrix dense, boolean toDense, Scratch scratch) {
        BlockPattern pattern = s.pattern();
        float[] line = scratch.buffer(0, pattern.blockSize());
        for (int block = pattern.firstBlock(blockRow); block < pattern.firstBlock(blockRow + 1); block++) {
            Matrix stored = s.block(block);
            Matrix place = dense.slice(
                    pattern.rowOffset(blockRow),
                    stored.rows(),
                    pattern.columnOffset(pattern.columnOf(block)),
                    stored.columns());
            Matrix source = toDense ? stored : place;
            Matrix target = toDense ? place : stored;
            int columns = (int) stored.columns();
            for (long i = 0; i < stored.rows(); i++) {
                Rows.read(source, i, 0, columns, line, 0);
                Rows.write(line, 0, columns, target, i, 0);
            }
        }
    }
}
