package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.kernels.tornado.engine.Kernel;

/** Elementwise work: one kernel for each operation. */
final class TornadoElementwise implements ElementwiseKernels {

    private final Device device;

    TornadoElementwise(Device device) {
        this.device = device;
    }

    @Override
    public void fill(Matrix matrix, double value) {
        device.launch(
                Kernel.FILL,
                new Arguments()
                        .add(rows(matrix), columns(matrix))
                        .matrix(matrix)
                        .constant((float) value),
                columns(matrix),
                rows(matrix));
    }

    @Override
    public void multiply(Matrix a, Matrix b, Matrix out, boolean accumulate) {
        device.launch(
                Kernel.MULTIPLY,
                new Arguments()
                        .add(rows(out), columns(out))
                        .matrix(a)
                        .matrix(b)
                        .matrix(out)
                        .flag(accumulate),
                columns(out),
                rows(out));
    }

    @Override
    public void sigmoidGate(Matrix s, double factor, Matrix gate) {
        gate(Kernel.SIGMOID_GATE, s, gate, factor);
    }

    @Override
    public void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient) {
        gate(Kernel.SIGMOID_GATE_GRADIENT, gate, gradient, factor);
    }

    private void gate(Kernel kernel, Matrix source, Matrix target, double factor) {
        device.launch(
                kernel,
                new Arguments()
                        .add(1, rows(target))
                        .matrix(source)
                        .matrix(target)
                        .constant((float) factor),
                rows(target),
                1);
    }
}
