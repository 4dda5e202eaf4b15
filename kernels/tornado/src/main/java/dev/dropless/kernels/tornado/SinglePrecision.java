package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The operands of one operation as the kernels compute with them. Those in F32 are themselves; 16-bit ones are widened into
 * scratch memory, and results rounded from there once, when the operation is {@link #finish finished}.
 */
final class SinglePrecision implements AutoCloseable {

    /** A result and where it was computed. */
    private record Result(Matrix wide, Matrix target) {}

    private final TornadoMemory memory;
    private final TornadoMemory.DeviceScope scratch;
    private final List<Result> results = new ArrayList<>();

    SinglePrecision(TornadoMemory memory) {
        this.memory = memory;
        this.scratch = memory.open();
    }

    /** Scratch memory of the operation. */
    TornadoMemory.DeviceScope scratch() {
        return scratch;
    }

    /** An operand that is read. */
    Matrix in(Matrix matrix) {
        if (matrix.type() == ElementType.F32) {
            return matrix;
        }
        Matrix wide = wide(matrix);
        memory.convert(matrix, wide);
        return wide;
    }

    private Matrix wide(Matrix matrix) {
        return scratch.allocate(ElementType.F32, matrix.rows(), matrix.columns());
    }

    /** A factor of a product with another one: itself where tensor cores multiply both as they are. */
    Matrix factor(Matrix matrix, Matrix other) {
        boolean cores = memory.hasTensorCores() && matrix.type() == other.type();
        return cores ? matrix : in(matrix);
    }

    /** A sparse factor of a product with a dense one. */
    BlockSparseMatrix factor(BlockSparseMatrix s, Matrix other) {
        return new BlockSparseMatrix(s.pattern(), factor(s.data(), other));
    }

    /** An operand that is read, or null. */
    @Nullable
    Matrix inOrNull(@Nullable Matrix matrix) {
        return matrix == null ? null : in(matrix);
    }

    /** An operand that is overwritten. */
    Matrix out(Matrix matrix) {
        if (matrix.type() == ElementType.F32) {
            return matrix;
        }
        Matrix wide = wide(matrix);
        results.add(new Result(wide, matrix));
        return wide;
    }

    /** An operand that is overwritten, or null. */
    @Nullable
    Matrix outOrNull(@Nullable Matrix matrix) {
        return matrix == null ? null : out(matrix);
    }

    /** An operand that is overwritten, or added to. */
    Matrix out(Matrix matrix, boolean accumulate) {
        Matrix wide = out(matrix);
        if (accumulate && wide != matrix) {
            memory.convert(matrix, wide);
        }
        return wide;
    }

    /** A sparse operand that is read. */
    BlockSparseMatrix in(BlockSparseMatrix s) {
        return new BlockSparseMatrix(s.pattern(), in(s.data()));
    }

    /** A sparse operand that is overwritten. */
    BlockSparseMatrix out(BlockSparseMatrix s) {
        return new BlockSparseMatrix(s.pattern(), out(s.data()));
    }

    /** Weights whose up-projection is multiplied with another factor. */
    Projections up(TornadoExpertWeights w, Matrix other) {
        Matrix input = factor(w.input(), other);
        return new Projections(w.shape(), input, w.output(), inOrNull(w.inputBias()), w.outputBias());
    }

    /** Weights whose down-projection is multiplied with another factor. */
    Projections down(TornadoExpertWeights w, Matrix other) {
        Matrix output = factor(w.output(), other);
        return new Projections(w.shape(), w.input(), output, w.inputBias(), inOrNull(w.outputBias()));
    }

    /** Gradients whose up-projection is added to. */
    Projections upGradients(TornadoExpertWeights w) {
        Matrix bias = w.inputBias();
        return new Projections(
                w.shape(), out(w.input(), true), w.output(), bias == null ? null : out(bias, true), w.outputBias());
    }

    /** Gradients whose down-projection is added to. */
    Projections downGradients(TornadoExpertWeights w) {
        Matrix bias = w.outputBias();
        return new Projections(
                w.shape(), w.input(), out(w.output(), true), w.inputBias(), bias == null ? null : out(bias, true));
    }

    /** Rounds the results to where they belong. */
    void finish() {
        results.forEach(result -> memory.convert(result.wide(), result.target()));
        results.clear();
    }

    @Override
    public void close() {
        scratch.close();
    }
}
