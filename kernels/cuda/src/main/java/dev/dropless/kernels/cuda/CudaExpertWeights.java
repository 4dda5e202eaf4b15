package dev.dropless.kernels.cuda;

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
 * Weights in device memory, each projection as [out, in]: {@code input} [E, P, H], an expert's gate rows before its up rows; {@code output} [E, H, F]; biases [E, P] and
 * [E, H]. No padding.
 */
final class CudaExpertWeights implements ExpertWeights {

    private final ExpertShape shape;
    private final ElementType type;
    private final CudaMemory memory;
    private final Launcher launcher;
    private final CudaMemory.DeviceScope scope;
    private final Matrix input;
    private final Matrix output;
    private final @Nullable Matrix inputBias;
    private final @Nullable Matrix outputBias;
    private volatile boolean closed;

    CudaExpertWeights(CudaMemory memory, Launcher launcher, ExpertShape shape, ElementType type) {
        this.shape = shape;
        this.type = type;
        this.memory = memory;
        this.launcher = launcher;
        this.scope = memory.open();
        long experts = shape.numExperts();
        int h = shape.hiddenSize();
        int p = shape.preActivations();
        try {
            this.input = scope.allocate(type, experts * p, h);
            this.output = scope.allocate(type, experts * h, shape.ffnHiddenSize());
            this.inputBias = shape.inputBias() ? scope.allocate(type, experts, p) : null;
            this.outputBias = shape.outputBias() ? scope.allocate(type, experts, h) : null;
        } catch (CudaException e) {
            scope.close();
            throw e;
        }
        zero();
    }

    /** Checks that weights belong to this memory and are open. */
    static CudaExpertWeights own(String argument, ExpertWeights weights, CudaMemory memory) {
        if (!(weights instanceof CudaExpertWeights own) || own.memory != memory) {
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

    /** Gate, and up where gated: [E * P, H]. */
    Matrix input() {
        return input;
    }

    /** Down: [E * H, F]. */
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

    /** A part of an expert as [out, in]; a bias as [1, out]. */
    private Matrix part(WeightPart part, int expert) {
        int f = shape.ffnHiddenSize();
        long firstInput = (long) expert * shape.preActivations();
        return switch (part) {
            case GATE -> input.sliceRows(firstInput, f);
            case UP -> input.sliceRows(firstInput + f, f);
            case DOWN -> output.sliceRows((long) expert * shape.hiddenSize(), shape.hiddenSize());
            case GATE_BIAS -> bias(inputBias).slice(expert, 1, 0, f);
            case UP_BIAS -> bias(inputBias).slice(expert, 1, f, f);
            case DOWN_BIAS -> bias(outputBias).sliceRows(expert, 1);
        };
    }

    private Matrix bias(@Nullable Matrix bias) {
        if (bias == null) {
            throw new IllegalArgumentException("part: expected one of the parts of %s, found a bias".formatted(shape));
        }
        return bias;
    }

    private static boolean isBias(WeightPart part) {
        return switch (part) {
            case GATE, UP, DOWN -> false;
            case GATE_BIAS, UP_BIAS, DOWN_BIAS -> true;
        };
    }

    /** Whether the host's matrix has another orientation than ours. */
    private static boolean turned(WeightPart part, Transpose transpose) {
        return isBias(part) == (transpose == Transpose.T);
    }

    @Override
    public void load(WeightPart part, int expert, Matrix source, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "source", source, transpose);
        Matrix target = part(part, expert);
        if (!turned(part, transpose)) {
            memory.copy(source, target);
            return;
        }
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            Matrix raw = scratch.allocate(transferType(source), source.rows(), source.columns());
            memory.copy(source, raw);
            launcher.convertTransposed(raw, target);
        }
    }

    @Override
    public void store(WeightPart part, int expert, Matrix target, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "target", target, transpose);
        Matrix source = part(part, expert);
        if (!turned(part, transpose)) {
            memory.copy(source, target);
            return;
        }
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            Matrix raw = scratch.allocate(transferType(target), target.rows(), target.columns());
            launcher.convertTransposed(source, raw);
            memory.copy(raw, target);
        }
    }

    /** The host's type, but for F64, which only the host rounds exactly. */
    private ElementType transferType(Matrix host) {
        return host.type() == ElementType.F64 ? type : host.type();
    }

    @Override
    public void zero() {
        checkOpen();
        all().forEach(launcher::clear);
    }

    @Override
    public List<Matrix> storage() {
        checkOpen();
        return all().stream().map(CudaExpertWeights::asRow).toList();
    }

    private static Matrix asRow(Matrix m) {
        long elements = m.rows() * m.columns();
        return new Matrix(m.segment(), m.type(), m.offset(), 1, elements, elements, m.space());
    }

    private List<Matrix> all() {
        List<Matrix> all = new ArrayList<>(List.of(input, output));
        if (inputBias != null) {
            all.add(inputBias);
        }
        if (outputBias != null) {
            all.add(outputBias);
        }
        return all;
    }

    @Override
    public void close() {
        closed = true;
        scope.close();
    }
}
