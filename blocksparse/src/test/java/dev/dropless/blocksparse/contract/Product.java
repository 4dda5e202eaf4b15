package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.Transpose;

/**
 * A product in double precision by the plain triple loop.
 *
 * @param value sums
 * @param magnitude sums of absolute values, to which rounding errors are proportional
 * @param terms summands of each element
 */
record Product(double[][] value, double[][] magnitude, int terms) {

    static Product of(double[][] a, double[][] b, int columns) {
        double[][] value = new double[a.length][columns];
        double[][] magnitude = new double[a.length][columns];
        for (int i = 0; i < a.length; i++) {
            for (int l = 0; l < b.length; l++) {
                double factor = a[i][l];
                if (factor != 0) {
                    double[] row = b[l];
                    for (int j = 0; j < columns; j++) {
                        double term = factor * row[j];
                        value[i][j] += term;
                        magnitude[i][j] += Math.abs(term);
                    }
                }
            }
        }
        return new Product(value, magnitude, b.length);
    }

    /** Adds what was in the target before. */
    Product plus(double[][] before) {
        for (int i = 0; i < value.length; i++) {
            for (int j = 0; j < value[i].length; j++) {
                value[i][j] += before[i][j];
                magnitude[i][j] += Math.abs(before[i][j]);
            }
        }
        return new Product(value, magnitude, terms + 1);
    }

    /** op(a); an empty matrix has the given number of columns before transposition. */
    static double[][] op(double[][] a, int columns, Transpose transpose) {
        if (transpose == Transpose.N) {
            return a;
        }
        double[][] result = new double[columns][a.length];
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < columns; j++) {
                result[j][i] = a[i][j];
            }
        }
        return result;
    }
}
