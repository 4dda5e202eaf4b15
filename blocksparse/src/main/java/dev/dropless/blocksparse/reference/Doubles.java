package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;

/**
 * Copies between matrices of any type and double[rows][columns], so that the loops of the reference need not know about
 * storage.
 */
final class Doubles {

    private Doubles() {}

    static double[][] zeros(long rows, long columns) {
        return new double[Math.toIntExact(rows)][Math.toIntExact(columns)];
    }

    static double[][] read(Matrix matrix) {
        double[][] values = zeros(matrix.rows(), matrix.columns());
        for (int i = 0; i < values.length; i++) {
            matrix.getRow(i, values[i]);
        }
        return values;
    }

    /** op(matrix). */
    static double[][] read(Matrix matrix, Transpose transpose) {
        return transpose == Transpose.N ? read(matrix) : transposed(matrix);
    }

    /** The transpose of a matrix. */
    static double[][] transposed(Matrix matrix) {
        double[][] values = zeros(matrix.columns(), matrix.rows());
        for (int j = 0; j < values.length; j++) {
            for (int i = 0; i < values[j].length; i++) {
                values[j][i] = matrix.get(i, j);
            }
        }
        return values;
    }

    static double[] readRow(Matrix matrix, long row) {
        double[] values = new double[Math.toIntExact(matrix.columns())];
        matrix.getRow(row, values);
        return values;
    }

    static void write(double[][] values, Matrix target, boolean accumulate) {
        for (int i = 0; i < values.length; i++) {
            writeRow(values[i], target, i, accumulate);
        }
    }

    static void writeRow(double[] values, Matrix target, long row, boolean accumulate) {
        for (int j = 0; j < values.length; j++) {
            target.set(row, j, accumulate ? target.get(row, j) + values[j] : values[j]);
        }
    }

    static double dot(double[] x, double[] y) {
        double sum = 0;
        for (int i = 0; i < x.length; i++) {
            sum += x[i] * y[i];
        }
        return sum;
    }

    /** y += scale * x. */
    static void add(double scale, double[] x, double[] y) {
        for (int i = 0; i < x.length; i++) {
            y[i] += scale * x[i];
        }
    }

    /** x becomes scale * x. */
    static double[] scale(double scale, double[] x) {
        for (int i = 0; i < x.length; i++) {
            x[i] *= scale;
        }
        return x;
    }
}
