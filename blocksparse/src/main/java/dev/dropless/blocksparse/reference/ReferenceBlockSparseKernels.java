package dev.dropless.blocksparse.reference;

import static dev.dropless.blocksparse.reference.Doubles.add;
import static dev.dropless.blocksparse.reference.Doubles.dot;
import static dev.dropless.blocksparse.reference.Doubles.read;
import static dev.dropless.blocksparse.reference.Doubles.write;
import static dev.dropless.blocksparse.reference.Doubles.zeros;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Operands;
import dev.dropless.topology.BlockPattern;

/** Level 1, one loop nest per product. */
final class ReferenceBlockSparseKernels implements BlockSparseKernels {

    private static final MemorySpace SPACE = MemorySpace.HOST;

    @Override
    public void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.gemm(SPACE, a, ta, b, tb, c);
        double[][] left = read(a, ta);
        double[][] right = read(b, tb);
        double[][] sums = zeros(c.rows(), c.columns());
        for (int i = 0; i < sums.length; i++) {
            for (int l = 0; l < right.length; l++) {
                add(left[i][l], right[l], sums[i]); // c[i,:] += a[i,l] b[l,:]
            }
        }
        write(sums, c, accumulate);
    }

    @Override
    public void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        Operands.sdd(SPACE, a, ta, b, tb, s);
        double[][] left = read(a, ta);
        double[][] rightTransposed = read(b, tb.flip());
        BlockPattern pattern = s.pattern();
        for (int z = 0; z < pattern.blocks(); z++) {
            Matrix block = s.block(z);
            int row = firstRow(pattern, z);
            int column = firstColumn(pattern, z);
            for (int i = 0; i < block.rows(); i++) {
                for (int j = 0; j < block.columns(); j++) {
                    block.set(i, j, dot(left[row + i], rightTransposed[column + j])); // s[i,j] = a[i,:] b[:,j]
                }
            }
        }
    }

    @Override
    public void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.dsd(SPACE, s, ts, b, tb, c);
        double[][] right = read(b, tb);
        double[][] sums = zeros(c.rows(), c.columns());
        BlockPattern pattern = s.pattern();
        for (int z = 0; z < pattern.blocks(); z++) {
            double[][] block = read(s.block(z), ts);
            int row = ts == Transpose.N ? firstRow(pattern, z) : firstColumn(pattern, z); // of op(s)
            int column = ts == Transpose.N ? firstColumn(pattern, z) : firstRow(pattern, z);
            for (int i = 0; i < block.length; i++) {
                for (int l = 0; l < block[i].length; l++) {
                    add(block[i][l], right[column + l], sums[row + i]); // c[i,:] += s[i,l] b[l,:]
                }
            }
        }
        write(sums, c, accumulate);
    }

    @Override
    public void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate) {
        Operands.dds(SPACE, a, ta, s, ts, c);
        double[][] left = read(a, ta);
        double[][] sums = zeros(c.rows(), c.columns());
        BlockPattern pattern = s.pattern();
        for (int z = 0; z < pattern.blocks(); z++) {
            double[][] block = read(s.block(z), ts);
            int row = ts == Transpose.N ? firstRow(pattern, z) : firstColumn(pattern, z); // of op(s)
            int column = ts == Transpose.N ? firstColumn(pattern, z) : firstRow(pattern, z);
            for (int i = 0; i < sums.length; i++) {
                for (int l = 0; l < block.length; l++) {
                    for (int j = 0; j < block[l].length; j++) {
                        sums[i][column + j] += left[i][row + l] * block[l][j]; // c[i,j] += a[i,l] s[l,j]
                    }
                }
            }
        }
        write(sums, c, accumulate);
    }

    @Override
    public void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        Operands.multiply(SPACE, x, y, result);
        for (long i = 0; i < result.data().columns(); i++) {
            result.data().set(0, i, x.data().get(0, i) * y.data().get(0, i));
        }
    }

    @Override
    public void toDense(BlockSparseMatrix s, Matrix dense) {
        Operands.conversion(SPACE, s, dense);
        dense.fill(0);
        for (int z = 0; z < s.pattern().blocks(); z++) {
            place(s, z, dense).copyFrom(s.block(z));
        }
    }

    @Override
    public void fromDense(Matrix dense, BlockSparseMatrix s) {
        Operands.conversion(SPACE, s, dense);
        for (int z = 0; z < s.pattern().blocks(); z++) {
            s.block(z).copyFrom(place(s, z, dense));
        }
    }

    /** The part of a dense matrix that a block covers. */
    private static Matrix place(BlockSparseMatrix s, int z, Matrix dense) {
        BlockPattern pattern = s.pattern();
        int row = pattern.rowOf(z);
        int column = pattern.columnOf(z);
        return dense.slice(
                pattern.rowOffset(row), pattern.height(row), pattern.columnOffset(column), pattern.width(column));
    }

    private static int firstRow(BlockPattern pattern, int block) {
        return Math.toIntExact(pattern.rowOffset(pattern.rowOf(block)));
    }

    private static int firstColumn(BlockPattern pattern, int block) {
        return Math.toIntExact(pattern.columnOffset(pattern.columnOf(block)));
    }
}
