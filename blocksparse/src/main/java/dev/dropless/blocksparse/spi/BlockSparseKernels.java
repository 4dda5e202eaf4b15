package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;

/**
 * Level 1 of a back end: products of dense (D) and block-sparse (S) matrices. In a name the first letter is the result,
 * the others are the operands,
 * as in STK (MegaBlocks, arXiv 2211.15841, section 5.1).
 *
 * <p>op(A) is A or its transpose. Every operation checks shapes at entry and throws {@link IllegalArgumentException}
 * naming argument, expected and
 * found. Results overwrite their target unless {@code accumulate} is set; an output without contributions is zero.
 */
public interface BlockSparseKernels {

    /**
     * Dense product: c = op(a) op(b), or c += op(a) op(b).
     *
     * @param a left operand, op(a) is [m, p]
     * @param ta how a enters
     * @param b right operand, op(b) is [p, n]
     * @param tb how b enters
     * @param c result [m, n]
     * @param accumulate whether to add to c
     */
    void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate);

    /**
     * Sampled dense product: every stored block of s becomes the same block of op(a) op(b).
     *
     * @param a left operand, op(a) is [s.rows, p]
     * @param ta how a enters
     * @param b right operand, op(b) is [p, s.columns]
     * @param tb how b enters
     * @param s result: its pattern is read, its data overwritten
     */
    void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s);

    /**
     * Sparse times dense: c = op(s) op(b), or c += op(s) op(b).
     *
     * @param s left operand
     * @param ts how s enters
     * @param b right operand, op(b) is [op(s).columns, n]
     * @param tb how b enters
     * @param c result [op(s).rows, n]
     * @param accumulate whether to add to c
     */
    void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate);

    /**
     * Dense times sparse: c = op(a) op(s), or c += op(a) op(s).
     *
     * @param a left operand, op(a) is [m, op(s).rows]
     * @param ta how a enters
     * @param s right operand
     * @param ts how s enters
     * @param c result [m, op(s).columns]
     * @param accumulate whether to add to c
     */
    void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate);

    /**
     * Elementwise product of two matrices with the same pattern: result = x * y.
     *
     * @param x first factor
     * @param y second factor
     * @param result overwritten; may be x or y
     */
    void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result);

    /**
     * Writes out all elements, zeros included.
     *
     * @param s what to convert
     * @param dense result [s.rows, s.columns]
     */
    void toDense(BlockSparseMatrix s, Matrix dense);

    /**
     * Takes the stored blocks out of a dense matrix.
     *
     * @param dense what to sample, [s.rows, s.columns]
     * @param s result: its pattern is read, its data overwritten
     */
    void fromDense(Matrix dense, BlockSparseMatrix s);
}
