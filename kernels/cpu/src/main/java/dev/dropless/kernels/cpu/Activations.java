package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;

/** Activations apart from any product, row by row. */
final class Activations {

    /** Elements of a task: enough to be worth handing to another thread. */
    private static final int ELEMENTS_PER_TASK = 1 << 16;

    private final TileKernels kernels;
    private final ProductRunner runner;

    Activations(ProductRunner runner) {
        this.kernels = runner.kernels();
        this.runner = runner;
    }

    private interface RowTask {
        void run(int row, Scratch scratch);
    }

    private void forRows(long rows, int columns, RowTask task) {
        int perTask = Math.max(1, ELEMENTS_PER_TASK / Math.max(1, columns));
        int pieces = Math.toIntExact(Math.ceilDiv(rows, perTask));
        runner.tasks().run(pieces, piece -> {
            Scratch scratch = runner.scratches().take();
            int end = (int) Math.min(rows, (piece + 1L) * perTask);
            for (int row = piece * perTask; row < end; row++) {
                task.run(row, scratch);
            }
            runner.scratches().give(scratch);
        });
    }

    void forward(FloatActivation activation, boolean gated, Matrix pre, Matrix hidden) {
        int f = Math.toIntExact(hidden.columns());
        int p = Math.toIntExact(pre.columns());
        forRows(hidden.rows(), p, (row, scratch) -> {
            float[] a = scratch.buffer(0, p);
            float[] h = scratch.buffer(1, f);
            Rows.read(kernels, pre, row, 0, p, a, 0);
            if (gated) {
                kernels.activateGated(activation, f, a, 0, a, f, h, 0);
            } else {
                kernels.activate(activation, f, a, 0, h, 0);
            }
            Rows.write(kernels, h, 0, f, hidden, row, 0);
        });
    }

    void backward(FloatActivation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        int f = Math.toIntExact(dHidden.columns());
        int p = Math.toIntExact(pre.columns());
        forRows(dHidden.rows(), p, (row, scratch) -> {
            float[] a = scratch.buffer(0, p);
            float[] g = scratch.buffer(1, f);
            Rows.read(kernels, pre, row, 0, p, a, 0);
            Rows.read(kernels, dHidden, row, 0, f, g, 0);
            if (gated) {
                kernels.differentiateGated(activation, f, g, 0, a, 0, a, f, scratch.buffer(2, f));
            } else {
                kernels.differentiate(activation, f, g, 0, a, 0);
            }
            Rows.write(kernels, a, 0, p, dPre, row, 0);
        });
    }
}
