package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.TaskRunner;

/** Elementwise work on host matrices that no operation of a back end covers, parallel over rows. Every result is made by one task, in a fixed order. */
final class HostOps {

    /** Elements below which a further task costs more than it gains. */
    private static final long MIN_ELEMENTS = 8 * 1024;

    private final TaskRunner tasks;

    HostOps(TaskRunner tasks) {
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

    /** out = a * b, element by element; out may be a or b. */
    void multiply(Matrix a, Matrix b, Matrix out) {
        overRows(out, (first, end) -> {
            for (long i = first; i < end; i++) {
                for (long j = 0; j < out.columns(); j++) {
                    out.set(i, j, a.get(i, j) * b.get(i, j));
                }
            }
        });
    }

    /** out += a * b, element by element. */
    void multiplyAdd(Matrix a, Matrix b, Matrix out) {
        overRows(out, (first, end) -> {
            for (long i = first; i < end; i++) {
                for (long j = 0; j < out.columns(); j++) {
                    out.set(i, j, out.get(i, j) + a.get(i, j) * b.get(i, j));
                }
            }
        });
    }

    /** y[t] += scale[t] x[t]; rows of scale 0 are not touched, so that a NaN in their x stays where it is. */
    void addScaledRows(double[] scale, Matrix x, Matrix y) {
        overRows(y, (first, end) -> {
            for (long t = first; t < end; t++) {
                double factor = scale[(int) t];
                for (long j = 0; factor != 0 && j < y.columns(); j++) {
                    y.set(t, j, y.get(t, j) + factor * x.get(t, j));
                }
            }
        });
    }

    /** Returns the sum over the columns of a[row] * b[row]. */
    static double dot(Matrix a, Matrix b, long row) {
        double sum = 0;
        for (long j = 0; j < a.columns(); j++) {
            sum += a.get(row, j) * b.get(row, j);
        }
        return sum;
    }

    /** gate[t] = factor * sigmoid(s[t]); columns of one element. */
    void sigmoidGate(Matrix s, double factor, Matrix gate) {
        overRows(gate, (first, end) -> {
            for (long t = first; t < end; t++) {
                gate.set(t, 0, factor / (1 + Math.exp(-s.get(t, 0))));
            }
        });
    }

    /** Turns the gradient of the gate into the gradient of s, in place: ds = dGate * factor * p * (1 - p) with p = gate / factor. */
    void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient) {
        overRows(gradient, (first, end) -> {
            for (long t = first; t < end; t++) {
                double p = gate.get(t, 0) / factor;
                gradient.set(t, 0, gradient.get(t, 0) * factor * p * (1 - p));
            }
        });
    }
}
