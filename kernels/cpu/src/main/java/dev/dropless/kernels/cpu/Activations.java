package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;

/** Activations apart from any product: the items are rows. */
final class Activations extends RangeTask {

    /** Elements of a piece: enough to be worth handing to another thread. */
    private static final int ELEMENTS_PER_PIECE = 1 << 16;

    private FloatActivation activation = Nothing.ACTIVATION;
    private boolean gated;
    private Matrix pre = Nothing.MATRIX;
    /** Hidden values, or their gradient. */
    private Matrix hidden = Nothing.MATRIX;
    /** In the backward direction. */
    private boolean backward;

    private Matrix dPre = Nothing.MATRIX;

    Activations(ProductRunner runner) {
        super(runner);
    }

    private Activations set(FloatActivation activation, boolean gated, Matrix pre, Matrix hidden) {
        this.activation = activation;
        this.gated = gated;
        this.pre = pre;
        this.hidden = hidden;
        return this;
    }

    Activations forward(FloatActivation activation, boolean gated, Matrix pre, Matrix hidden) {
        backward = false;
        return set(activation, gated, pre, hidden);
    }

    Activations backward(FloatActivation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        backward = true;
        this.dPre = dPre;
        return set(activation, gated, pre, dHidden);
    }

    @Override
    public void clear() {
        backward(Nothing.ACTIVATION, false, Nothing.MATRIX, Nothing.MATRIX, Nothing.MATRIX);
    }

    @Override
    int items() {
        return Math.toIntExact(hidden.rows());
    }

    @Override
    int pieces(int threads) {
        return Math.toIntExact(Math.min(hidden.rows(), Math.ceilDiv(pre.rows() * pre.columns(), ELEMENTS_PER_PIECE)));
    }

    @Override
    void compute(int from, int to, Scratch scratch) {
        for (int row = from; row < to; row++) {
            if (backward) {
                differentiate(row, scratch);
            } else {
                activate(row, scratch);
            }
        }
    }

    private void activate(int row, Scratch scratch) {
        int f = Math.toIntExact(hidden.columns());
        int p = Math.toIntExact(pre.columns());
        float[] a = scratch.buffer(0, p);
        float[] h = scratch.buffer(1, f);
        Rows.read(kernels, pre, row, 0, p, scratch.bufferStorage(0), 0);
        if (gated) {
            kernels.activateGated(activation, f, a, 0, a, f, h, 0);
        } else {
            kernels.activate(activation, f, a, 0, h, 0);
        }
        Rows.write(kernels, scratch.bufferStorage(1), 0, f, hidden, row, 0);
    }

    private void differentiate(int row, Scratch scratch) {
        int f = Math.toIntExact(hidden.columns());
        int p = Math.toIntExact(pre.columns());
        float[] a = scratch.buffer(0, p);
        float[] g = scratch.buffer(1, f);
        Rows.read(kernels, pre, row, 0, p, scratch.bufferStorage(0), 0);
        Rows.read(kernels, hidden, row, 0, f, scratch.bufferStorage(1), 0);
        if (gated) {
            kernels.differentiateGated(activation, f, g, 0, a, 0, a, f, scratch.buffer(2, f));
        } else {
            kernels.differentiate(activation, f, g, 0, a, 0);
        }
        Rows.write(kernels, scratch.bufferStorage(0), 0, p, dPre, row, 0);
    }
}
