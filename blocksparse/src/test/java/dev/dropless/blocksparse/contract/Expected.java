package dev.dropless.blocksparse.contract;

import java.util.Arrays;

/** A matrix of exact values with the error that a back end may make in each before it stores it. */
final class Expected {

    final double[][] value;
    final double[][] error;

    Expected(int rows, int columns) {
        value = new double[rows][columns];
        error = new double[rows][columns];
    }

    /** Starts from given values, which count as terms of the sums. */
    Expected(double[][] before) {
        value = Arrays.stream(before).map(double[]::clone).toArray(double[][]::new);
        error = Arrays.stream(before).map(row -> new double[row.length]).toArray(double[][]::new);
    }

    void set(int i, int j, Sum sum, double unit) {
        value[i][j] = sum.value;
        error[i][j] = sum.error(unit);
    }

    /** A sum of products, with the sum of their absolute values and their number. */
    static final class Sum {
        double value;
        double magnitude;
        int terms;

        Sum add(double a, double b) {
            value += a * b;
            magnitude += Math.abs(a * b);
            terms++;
            return this;
        }

        /** Adds scale times another sum. */
        Sum add(double scale, Sum other) {
            value += scale * other.value;
            magnitude += Math.abs(scale) * other.magnitude;
            terms += other.terms;
            return this;
        }

        /** A priori bound of the rounding errors; 8 for conversions and scalings of operands. */
        double error(double unit) {
            return (terms + 8) * unit * magnitude;
        }
    }
}
