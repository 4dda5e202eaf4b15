package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.Launcher.THREADS;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Operands;
import dev.dropless.kernels.cuda.BlockEngine.Kind;
import dev.dropless.topology.BlockPattern;
import org.jspecify.annotations.Nullable;

/** Level 1: one kernel per operation, over the arrays of a pattern that stay on the device while it is in use. */
final class CudaBlockSparseKernels implements BlockSparseKernels, AutoCloseable {

    /** Elements of a run, which one thread multiplies. */
    private static final int RUN = 8;

    private final CudaMemory memory;
    private final Launcher launcher;
    private final BlockEngine engine;
    private final DevicePattern.Cache patterns;

    CudaBlockSparseKernels(CudaMemory memory, Launcher launcher, BlockEngine engine) {
        this.memory = memory;
        this.launcher = launcher;
        this.engine = engine;
        this.patterns = new DevicePattern.Cache(memory);
    }

    private static long columns(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? matrix.columns() : matrix.rows();
    }

    private static long rows(Matrix matrix, Transpose transpose) {
        return columns(matrix, transpose.flip());
    }

    private static int depth(long depth) {
        if (depth > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("depth: expected at most 2^31 - 1, found " + depth);
        }
        return (int) depth;
    }

    @Override
    public void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.gemm(memory.space(), a, ta, b, tb, c);
        product(Kind.DENSE, a, ta, b, tb, c, depth(columns(a, ta)), accumulate, null, 0);
    }

    @Override
    public void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        Operands.sdd(memory.space(), a, ta, b, tb, s);
        BlockPattern pattern = s.pattern();
        product(Kind.SDD, a, ta, b, tb, s.data(), depth(columns(a, ta)), false, pattern, pattern.blockRows());
    }

    @Override
    public void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.dsd(memory.space(), s, ts, b, tb, c);
        BlockPattern pattern = s.pattern();
        int stripes = ts == Transpose.N ? pattern.blockRows() : pattern.blockColumns();
        product(Kind.DSD, s.data(), ts, b, tb, c, 0, accumulate, pattern, stripes);
    }

    @Override
    public void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate) {
        Operands.dds(memory.space(), a, ta, s, ts, c);
        BlockPattern pattern = s.pattern();
        int stripes = ts == Transpose.N ? pattern.blockColumns() : pattern.blockRows();
        product(Kind.DDS, a, ta, s.data(), ts, c, 0, accumulate, pattern, stripes);
    }

    private void product(
            Kind kind,
            Matrix a,
            Transpose ta,
            Matrix b,
            Transpose tb,
            Matrix c,
            int depth,
            boolean accumulate,
            @Nullable BlockPattern pattern,
            int stripes) {
        Conversions.outputs("result", c);
        synchronized (patterns) {
            try (Conversions conversions = new Conversions(memory, launcher)) {
                ElementType type = conversions.common("operands", a.type(), b.type());
                Matrix left = conversions.as("left operand", a, type);
                Matrix right = conversions.as("right operand", b, type);
                DevicePattern arrays = pattern == null ? null : patterns.of(pattern);
                long rows = kind == Kind.DSD ? c.rows() : rows(a, ta);
                long columns = kind == Kind.DDS ? c.columns() : columns(b, tb);
                engine.product(new BlockEngine.Product(
                        kind, type, left, ta, right, tb, c, rows, columns, depth, accumulate, arrays, stripes));
            }
        }
    }

    @Override
    public void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        Operands.multiply(memory.space(), x, y, result);
        Conversions.inputs("x", x.data());
        Conversions.inputs("y", y.data());
        Conversions.outputs("result", result.data());
        long elements = x.pattern().elements();
        synchronized (patterns) {
            DevicePattern arrays = patterns.of(x.pattern());
            launcher.elementwise("block_multiply", Math.ceilDiv(elements, (long) THREADS * RUN), words -> {
                words.matrix(x.data()).matrix(y.data()).matrix(result.data());
                DevicePattern.write(arrays, words);
            });
        }
    }

    @Override
    public void toDense(BlockSparseMatrix s, Matrix dense) {
        Operands.conversion(memory.space(), s, dense);
        Conversions.inputs("s", s.data());
        Conversions.outputs("dense", dense);
        launcher.clear(dense);
        copyBlocks("blocks_to_dense", s, dense);
    }

    @Override
    public void fromDense(Matrix dense, BlockSparseMatrix s) {
        Operands.conversion(memory.space(), s, dense);
        Conversions.inputs("dense", dense);
        Conversions.outputs("s", s.data());
        copyBlocks("blocks_from_dense", s, dense);
    }

    private void copyBlocks(String operation, BlockSparseMatrix s, Matrix dense) {
        synchronized (patterns) {
            DevicePattern arrays = patterns.of(s.pattern());
            launcher.elementwise(operation, s.pattern().blocks(), words -> {
                words.matrix(s.data()).matrix(dense);
                DevicePattern.write(arrays, words);
            });
        }
    }

    /** Frees the patterns. */
    @Override
    public void close() {
        synchronized (patterns) {
            patterns.close();
        }
    }
}
