package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.Launcher.THREADS;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ElementwiseKernels;

/** Elementwise work on the device: one kernel each, queued. */
final class CudaElementwise implements ElementwiseKernels {

    private final Launcher launcher;

    CudaElementwise(Launcher launcher) {
        this.launcher = launcher;
    }

    /** Blocks that find work, a thread for each element. */
    static long blocks(long elements) {
        return Math.ceilDiv(elements, (long) THREADS);
    }

    @Override
    public void fill(Matrix matrix, double value) {
        Conversions.outputs("matrix", matrix);
        launcher.elementwise(
                "fill",
                blocks(matrix.rows() * matrix.columns()),
                words -> words.matrix(matrix)
                        .word(matrix.rows())
                        .word(matrix.columns())
                        .number(value));
    }

    @Override
    public void multiply(Matrix a, Matrix b, Matrix out, boolean accumulate) {
        Conversions.inputs("a", a);
        Conversions.inputs("b", b);
        Conversions.outputs("out", out);
        launcher.elementwise(
                "multiply",
                blocks(out.rows() * out.columns()),
                words -> words.matrix(a)
                        .matrix(b)
                        .matrix(out)
                        .word(out.rows())
                        .word(out.columns())
                        .flag(accumulate));
    }

    @Override
    public void sigmoidGate(Matrix s, double factor, Matrix gate) {
        Conversions.inputs("s", s);
        gate("sigmoid_gate", gate, s, factor);
    }

    @Override
    public void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient) {
        Conversions.inputs("gate", gate);
        gate("sigmoid_gate_backward", gate, gradient, factor);
    }

    private void gate(String operation, Matrix gate, Matrix other, double factor) {
        launcher.elementwise(
                operation,
                blocks(gate.rows()),
                words -> words.matrix(gate).matrix(other).word(gate.rows()).number(factor));
    }
}
