package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.TaskRunner;

/**
 * Elementwise work in the host's memory, in double precision, parallel over rows. Every result is made by one task, in
 * a fixed order.
 */
public final class HostElementwise implements ElementwiseKernels {

    /** Elements below which a further task costs more than it gains. */
    private static final long MIN_ELEMENTS = 8 * 1024;

    private final TaskRunner tasks;

    /**
     * Creates an instance.
     *
     * @param tasks runs the work
     */
    public HostElementwise(TaskRunner tasks) {
        this.tasks = tasks;
    }

    /** What to do with the rows first..end-1. */
    @FunctionalInterface
    private interface RowRange {
        void run(long first, long end);
    }

    private void overRows(Matrix matrix, RowRange body) {
        long rows = matrix.rows();
        long most = Math.min(rows, 4L * tasks.parallelism());
        int count = (int) Math.clamp(rows * matrix.columns() / MIN_ELEMENTS, 1, Math.max(1, most));
        tasks.run(count, task -> body.run(rows * task / count, rows * (task + 1) / count));
    }

    @Override
    public void fill(Matrix matrix, double value) {
        overRows(matrix, (first, end) -> {
            for (long i = first; i < end; i++) {
                for (long j = 0; j < matrix.columns(); j++) {
                    matrix.set(i, j, value);
                }
            }
        });
    }

    @Override
    public void multiply(Matrix a, Matrix b, Matrix out, boolean accumulate) {
        overRows(out, (first, end) -> {
            for (long i = first; i < end; i++) {
                for (long j = 0; j < out.columns(); j++) {
                    double before = accumulate ? out.get(i, j) : 0;
                    out.set(i, j, before + a.get(i, j) * b.get(i, j));
                }
            }
        });
    }

    /**
     * Adds multiples of rows: y[t] += scale[t] x[t]. Rows of scale 0 are not touched, so that a NaN in their x stays
     * where it is.
     *
     * @param scale one number per row
     * @param x what to add, of the shape of y
     * @param y added to
     */
    public void addScaledRows(double[] scale, Matrix x, Matrix y) {
        overRows(y, (first, end) -> {
            for (long t = first; t < end; t++) {
                double factor = scale[(int) t];
                for (long j = 0; factor != 0 && j < y.columns(); j++) {
                    y.set(t, j, y.get(t, j) + factor * x.get(t, j));
                }
            }
        });
    }

    /**
     * Multiplies two rows.
     *
     * @param a first matrix
     * @param b second matrix, of the same shape
     * @param row which row of both
     * @return the sum over the columns of a[row] * b[row]
     */
    public static double dot(Matrix a, Matrix b, long row) {
        double sum = 0;
        for (long j = 0; j < a.columns(); j++) {
            sum += a.get(row, j) * b.get(row, j);
        }
        return sum;
    }

    @Override
    public void sigmoidGate(Matrix s, double factor, Matrix gate) {
        overRows(gate, (first, end) -> {
            for (long t = first; t < end; t++) {
                gate.set(t, 0, factor / (1 + Math.exp(-s.get(t, 0))));
            }
        });
    }

    @Override
    public void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient) {
        overRows(gradient, (first, end) -> {
            for (long t = first; t < end; t++) {
                double p = gate.get(t, 0) / factor;
                gradient.set(t, 0, gradient.get(t, 0) * factor * p * (1 - p));
            }
        });
    }
}
