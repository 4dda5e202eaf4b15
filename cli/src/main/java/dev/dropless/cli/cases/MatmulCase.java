package dev.dropless.cli.cases;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.BcsrArrays;
import dev.dropless.topology.BcsrPattern;
import java.util.List;
import java.util.Locale;

/** Cases of kind {@code block_sparse_matmul}: DSD, DDS and SDD in all transpositions. */
final class MatmulCase implements AutoCloseable {

    private final CaseFile file;
    private final Kernels kernels;
    private final ElementType type;
    private final KernelMemory.Scope scope;
    private final CaseResults results = new CaseResults();
    private final BlockSparseMatrix sparse;

    private MatmulCase(CaseFile file, Kernels kernels, ElementType type) {
        this.file = file;
        this.kernels = kernels;
        this.type = type;
        this.scope = kernels.memory().open();
        int blockSize = file.number("block_size");
        int[] shape = file.ints("s.shape");
        BcsrPattern pattern = BcsrPattern.of(
                shape[0] / blockSize,
                shape[1] / blockSize,
                blockSize,
                file.ints("s.offsets"),
                file.ints("s.column_indices"));
        this.sparse = new BlockSparseMatrix(pattern, scope.allocate(type, 1, pattern.elements()));
        kernels.memory().copy(file.matrix("s.data", 1, pattern.elements()), sparse.data());
    }

    static CaseResults evaluate(CaseFile file, Kernels kernels, ElementType type) {
        try (MatmulCase matmul = new MatmulCase(file, kernels, type)) {
            for (Transpose first : Transpose.values()) {
                for (Transpose second : Transpose.values()) {
                    matmul.dsd(first, second);
                    matmul.dds(first, second);
                    matmul.sdd(first, second);
                }
            }
            matmul.pattern();
            return matmul.results;
        }
    }

    /** The other index arrays of S, and S written out. */
    private void pattern() {
        BcsrArrays arrays = sparse.pattern().arrays();
        results.integers("s.row_indices", arrays.rowIndices());
        results.integers("s.offsets_t", arrays.offsetsT());
        results.integers("s.column_indices_t", arrays.columnIndicesT());
        results.integers("s.row_indices_t", arrays.rowIndicesT());
        results.integers("s.block_offsets_t", arrays.blockOffsetsT());
        Matrix dense = scope.allocate(type, sparse.rows(), sparse.columns());
        kernels.blockSparse().toDense(sparse, dense);
        put("s.dense", dense);
    }

    static boolean isInput(String name) {
        return name.startsWith("d_")
                || name.startsWith("e_")
                || List.of("s.data", "s.shape", "s.offsets", "s.column_indices").contains(name);
    }

    private static String suffix(Transpose first, Transpose second) {
        return (first.name() + second.name()).toLowerCase(Locale.ROOT);
    }

    private Matrix operand(String name) {
        Matrix stored = file.matrix(name);
        Matrix operand = scope.allocate(type, stored.rows(), stored.columns());
        kernels.memory().copy(stored, operand);
        return operand;
    }

    /** d_m or d_n as it is, e_m or e_n transposed: the same side of S, the other orientation. */
    private void dsd(Transpose ts, Transpose tb) {
        boolean rows = ts == Transpose.T;
        Matrix b = operand((tb == Transpose.N ? "d_" : "e_") + (rows ? "m" : "n"));
        Matrix c = scope.allocate(
                type, rows ? sparse.columns() : sparse.rows(), tb == Transpose.N ? b.columns() : b.rows());
        kernels.blockSparse().dsd(sparse, ts, b, tb, c, false);
        put("dsd." + suffix(ts, tb), c);
    }

    private void dds(Transpose ta, Transpose ts) {
        boolean columns = ts == Transpose.T;
        Matrix a = operand((ta == Transpose.N ? "e_" : "d_") + (columns ? "n" : "m"));
        Matrix c = scope.allocate(
                type, ta == Transpose.N ? a.rows() : a.columns(), columns ? sparse.rows() : sparse.columns());
        kernels.blockSparse().dds(a, ta, sparse, ts, c, false);
        put("dds." + suffix(ta, ts), c);
    }

    private void sdd(Transpose ta, Transpose tb) {
        Matrix a = operand(ta == Transpose.N ? "d_m" : "e_m");
        Matrix b = operand(tb == Transpose.N ? "e_n" : "d_n");
        Matrix data = scope.allocate(type, 1, sparse.pattern().elements());
        kernels.blockSparse().sdd(a, ta, b, tb, new BlockSparseMatrix(sparse.pattern(), data));
        int size = sparse.pattern().blockSize();
        results.reals(
                "sdd." + suffix(ta, tb),
                host(data).toDoubles(),
                sparse.pattern().blocks(),
                size,
                size);
    }

    private void put(String name, Matrix c) {
        results.reals(name, host(c));
    }

    private Matrix host(Matrix matrix) {
        if (matrix.space().isHost()) {
            return matrix;
        }
        Matrix copy = Matrix.of(
                new double[Math.toIntExact(matrix.rows() * matrix.columns())], matrix.rows(), matrix.columns());
        kernels.memory().copy(matrix, copy);
        return copy;
    }

    @Override
    public void close() {
        scope.close();
    }
}
