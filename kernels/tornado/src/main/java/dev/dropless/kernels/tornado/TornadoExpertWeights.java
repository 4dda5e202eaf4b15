package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Weights on the device, each projection as [in, out]: {@code input} [E, H, P], a gate's columns before those of up;
 * {@code output} [E, F, H]; biases [E, P] and [E, H]. No padding.
 */
final class TornadoExpertWeights implements ExpertWeights {

    private final ExpertShape shape;
    private final TornadoMemory memory;
    private final TornadoElementwise elementwise;
    private final ElementType type;
    private final TornadoMemory.DeviceScope scope;
    private final Matrix input;
    private final Matrix output;
    private final @Nullable Matrix inputBias;
    private final @Nullable Matrix outputBias;
    private boolean closed;

    TornadoExpertWeights(TornadoMemory memory, TornadoElementwise elementwise, ExpertShape shape, ElementType type) {
        this.shape = shape;
        this.memory = memory;
        this.elementwise = elementwise;
        this.type = type;
        this.scope = memory.open();
        long experts = shape.numExperts();
        try {
            this.input = scope.allocate(type, experts * shape.hiddenSize(), shape.preActivations());
            this.output = scope.allocate(type, experts * shape.ffnHiddenSize(), shape.hiddenSize());
            this.inputBias = shape.inputBias() ? scope.allocate(type, experts, shape.preActivations()) : null;
            this.outputBias = shape.outputBias() ? scope.allocate(type, experts, shape.hiddenSize()) : null;
        } catch (IllegalStateException e) {
            scope.close();
            throw e;
        }
        zero();
    }

    /** Checks that weights belong to this memory and are open. */
    static TornadoExpertWeights own(String argument, ExpertWeights weights, TornadoMemory memory) {
        if (!(weights instanceof TornadoExpertWeights own) || own.memory != memory) {
            throw new IllegalArgumentException("%s: expected weights allocated by these kernels, found %s"
                    .formatted(argument, weights.getClass().getSimpleName()));
        }
        own.checkOpen();
        return own;
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("weights are closed");
        }
    }

    @Override
    public ExpertShape shape() {
        return shape;
    }

    @Override
    public ElementType type() {
        return type;
    }

    /** Gate, and up where gated: [E * H, P]. */
    Matrix input() {
        return input;
    }

    /** Down: [E * F, H]. */
    Matrix output() {
        return output;
    }

    /** Biases of gate and up: [E, P]. */
    @Nullable
    Matrix inputBias() {
        return inputBias;
    }

    /** Biases of down: [E, H]. */
    @Nullable
    Matrix outputBias() {
        return outputBias;
    }

    /** A part of an expert as [in, out]; the part exists. */
    private Matrix part(WeightPart part, int expert) {
        int f = shape.ffnHiddenSize();
        Matrix of = switch (part) {
            case GATE, UP -> input;
            case DOWN -> output;
            case GATE_BIAS, UP_BIAS -> existing(inputBias);
            case DOWN_BIAS -> existing(outputBias);
        };
        int rows = shape.rows(part);
        int firstColumn = switch (part) {
            case GATE, GATE_BIAS, DOWN, DOWN_BIAS -> 0;
            case UP, UP_BIAS -> f;
        };
        return of.slice((long) expert * rows, rows, firstColumn, shape.columns(part));
    }

    private Matrix existing(@Nullable Matrix bias) {
        if (bias == null) {
            throw new IllegalArgumentException("part: expected one of the parts of %s, found a bias".formatted(shape));
        }
        return bias;
    }

    @Override
    public void load(WeightPart part, int expert, Matrix source, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "source", source, transpose);
        memory.copy(transpose == Transpose.N ? source : turned(source), part(part, expert));
    }

    @Override
    public void store(WeightPart part, int expert, Matrix target, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "target", target, transpose);
        if (transpose == Transpose.N) {
            memory.copy(part(part, expert), target);
            return;
        }
        Matrix raw = hostMatrix(target.columns(), target.rows());
        memory.copy(part(part, expert), raw);
        target.copyFrom(turned(raw));
    }

    private static Matrix hostMatrix(long height, long width) {
        return Matrix.of(new double[Math.toIntExact(Math.multiplyExact(height, width))], height, width);
    }

    /** The transpose of a matrix of the host. */
    private static Matrix turned(Matrix source) {
        Matrix turned = hostMatrix(source.columns(), source.rows());
        for (long i = 0; i < source.rows(); i++) {
            for (long j = 0; j < source.columns(); j++) {
                turned.set(j, i, source.get(i, j));
            }
        }
        return turned;
    }

    @Override
    public void zero() {
        storage().forEach(part -> elementwise.fill(part, 0));
    }

    @Override
    public List<Matrix> storage() {
        checkOpen();
        List<Matrix> all = new ArrayList<>(List.of(input, output));
        if (inputBias != null) {
            all.add(inputBias);
        }
        if (outputBias != null) {
            all.add(outputBias);
        }
        return all.stream()
                .map(m -> TornadoMemory.asRow(m, m.rows() * m.columns()))
                .toList();
    }

    @Override
    public void close() {
        closed = true;
        scope.close();
    }
}
