package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.kernels.tornado.engine.Kernel;

/** Elementwise work: one kernel for each operation. */
final class TornadoElementwise implements ElementwiseKernels {

    private final Device device;
    private final TornadoMemory memory;

    TornadoElementwise(Device device, TornadoMemory memory) {
        this.device = device;
        this.memory = memory;
    }

    @Override
    public void fill(Matrix matrix, double value) {
        try (SinglePrecision f = new SinglePrecision(memory)) {
            device.launch(
                    Kernel.FILL,
                    new Arguments()
                            .add(rows(matrix), columns(matrix))
                            .matrix(f.out(matrix))
                            .constant((float) value),
                    columns(matrix),
                    rows(matrix));
            f.finish();
        }
    }

    @Override
    public void multiply(Matrix a, Matrix b, Matrix out, boolean accumulate) {
        try (SinglePrecision f = new SinglePrecision(memory)) {
            device.launch(
                    Kernel.MULTIPLY,
                    new Arguments()
                            .add(rows(out), columns(out))
                            .matrix(f.in(a))
                            .matrix(f.in(b))
                            .matrix(f.out(out, accumulate))
                            .flag(accumulate),
                    columns(out),
                    rows(out));
            f.finish();
        }
    }

    @Override
    public void sigmoidGate(Matrix s, double factor, Matrix gate) {
        gate(Kernel.SIGMOID_GATE, s, gate, false, factor);
    }

    @Override
    public void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient) {
        gate(Kernel.SIGMOID_GATE_GRADIENT, gate, gradient, true, factor);
    }

    private void gate(Kernel kernel, Matrix source, Matrix target, boolean readsTarget, double factor) {
        try (SinglePrecision f = new SinglePrecision(memory)) {
            device.launch(
                    kernel,
                    new Arguments()
                            .add(1, rows(target))
                            .matrix(f.in(source))
                            .matrix(f.out(target, readsTarget))
                            .constant((float) factor),
                    rows(target),
                    1);
            f.finish();
        }
    }
}
