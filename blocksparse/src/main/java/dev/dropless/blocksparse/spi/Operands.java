package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.topology.BlockPattern;
import org.jspecify.annotations.Nullable;

/**
 * Entry checks of {@link BlockSparseKernels}, the same for every back end: one method per operation, with the
 * operation's arguments after the memory
 * space in which they must lie. Every method throws {@link IllegalArgumentException} whose message names argument,
 * expected and found. {@link ExpertOperands} has
 * those of level 2.
 */
public final class Operands {

    private Operands() {}

    /**
     * Checks {@link BlockSparseKernels#gemm}.
     *
     * @param space memory of the back end
     * @param a left operand
     * @param ta how a enters
     * @param b right operand
     * @param tb how b enters
     * @param c result
     */
    public static void gemm(MemorySpace space, Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c) {
        space("a", a, space);
        space("b", b, space);
        dense("b", b, tb, columns(a, ta), columns(b, tb));
        shape("c", c, space, rows(a, ta), columns(b, tb));
        apart("c", c, "a", a);
        apart("c", c, "b", b);
    }

    /**
     * Checks {@link BlockSparseKernels#sdd}.
     *
     * @param space memory of the back end
     * @param a left operand
     * @param ta how a enters
     * @param b right operand
     * @param tb how b enters
     * @param s result
     */
    public static void sdd(MemorySpace space, Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        space("a", a, space);
        space("b", b, space);
        space("s", s.data(), space);
        dense("a", a, ta, s.rows(), columns(a, ta));
        dense("b", b, tb, columns(a, ta), s.columns());
        apart("s", s.data(), "a", a);
        apart("s", s.data(), "b", b);
    }

    /**
     * Checks {@link BlockSparseKernels#dsd}.
     *
     * @param space memory of the back end
     * @param s left operand
     * @param ts how s enters
     * @param b right operand
     * @param tb how b enters
     * @param c result
     */
    public static void dsd(MemorySpace space, BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c) {
        space("s", s.data(), space);
        space("b", b, space);
        dense("b", b, tb, ts == Transpose.N ? s.columns() : s.rows(), columns(b, tb));
        shape("c", c, space, ts == Transpose.N ? s.rows() : s.columns(), columns(b, tb));
        apart("c", c, "s", s.data());
        apart("c", c, "b", b);
    }

    /**
     * Checks {@link BlockSparseKernels#dds}.
     *
     * @param space memory of the back end
     * @param a left operand
     * @param ta how a enters
     * @param s right operand
     * @param ts how s enters
     * @param c result
     */
    public static void dds(MemorySpace space, Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c) {
        space("a", a, space);
        space("s", s.data(), space);
        dense("a", a, ta, rows(a, ta), ts == Transpose.N ? s.rows() : s.columns());
        shape("c", c, space, rows(a, ta), ts == Transpose.N ? s.columns() : s.rows());
        apart("c", c, "a", a);
        apart("c", c, "s", s.data());
    }

    /**
     * Checks {@link BlockSparseKernels#multiply}.
     *
     * @param space memory of the back end
     * @param x first factor
     * @param y second factor
     * @param result product
     */
    public static void multiply(MemorySpace space, BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        space("x", x.data(), space);
        space("y", y.data(), space);
        space("result", result.data(), space);
        samePattern("y", x.pattern(), y.pattern());
        samePattern("result", x.pattern(), result.pattern());
    }

    /**
     * Checks {@link BlockSparseKernels#toDense} and {@link BlockSparseKernels#fromDense}.
     *
     * @param space memory of the back end
     * @param s block-sparse matrix
     * @param dense dense matrix
     */
    public static void conversion(MemorySpace space, BlockSparseMatrix s, Matrix dense) {
        space("s", s.data(), space);
        shape("dense", dense, space, s.rows(), s.columns());
        apart("dense", dense, "s", s.data());
    }

    /**
     * Checks that a matrix lies in the memory of the back end.
     *
     * @param argument its name
     * @param matrix the matrix
     * @param space where it must lie
     */
    public static void space(String argument, Matrix matrix, MemorySpace space) {
        if (!matrix.space().equals(space)) {
            throw mismatch(argument, "memory of " + describe(space), describe(matrix.space()));
        }
    }

    /**
     * Checks memory and shape of a matrix.
     *
     * @param argument its name
     * @param matrix the matrix
     * @param space where it must lie
     * @param rows expected rows
     * @param columns expected columns
     */
    public static void shape(String argument, Matrix matrix, MemorySpace space, long rows, long columns) {
        space(argument, matrix, space);
        if (matrix.rows() != rows || matrix.columns() != columns) {
            throw mismatch(argument, "[%d, %d]".formatted(rows, columns), matrix.describe());
        }
    }

    /**
     * Checks that an output does not overlap an input. Overlap is recognised where it is certain: in views with the
     * same row stride, and in plain runs
     * of memory.
     *
     * @param output name of the output
     * @param target the output, or null
     * @param input name of the input
     * @param source the input, or null
     */
    public static void apart(String output, @Nullable Matrix target, String input, @Nullable Matrix source) {
        if (target != null && source != null && target.overlaps(source)) {
            throw mismatch(output, "memory apart from " + input, "an overlap");
        }
    }

    private static void dense(String argument, Matrix matrix, Transpose transpose, long rows, long columns) {
        if (rows(matrix, transpose) != rows || columns(matrix, transpose) != columns) {
            String expected = transpose == Transpose.N
                    ? "[%d, %d]".formatted(rows, columns)
                    : "[%d, %d], to be transposed".formatted(columns, rows);
            throw mismatch(argument, expected, matrix.describe());
        }
    }

    /** The same object, or the same blocks in the same places. */
    private static void samePattern(String argument, BlockPattern expected, BlockPattern found) {
        if (!expected.sameBlocks(found)) {
            throw mismatch(argument, "the pattern of x, " + describe(expected), "another, " + describe(found));
        }
    }

    private static long rows(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? matrix.rows() : matrix.columns();
    }

    private static long columns(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? matrix.columns() : matrix.rows();
    }

    private static String describe(BlockPattern pattern) {
        return "%d blocks in %d x %d".formatted(pattern.blocks(), pattern.rows(), pattern.columns());
    }

    private static String describe(MemorySpace space) {
        return space.isHost() ? "the host" : space.backend() + " device " + space.device();
    }

    /** One line in the form all messages have. */
    static IllegalArgumentException mismatch(String argument, Object expected, Object found) {
        return new IllegalArgumentException("%s: expected %s, found %s".formatted(argument, expected, found));
    }
}
