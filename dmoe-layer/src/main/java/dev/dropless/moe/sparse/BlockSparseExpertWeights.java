package dev.dropless.moe.sparse;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Expert weights as MegaBlocks keeps them: all experts of a part in one dense matrix [E * F, H], expert e in the rows from e * F on. GATE and UP are stored
 * [out, in], DOWN [in, out]; so all three are right operands of the block-diagonal matrix. Biases are [E, F] and [E, H].
 */
final class BlockSparseExpertWeights implements ExpertWeights {

    private final ExpertShape shape;
    private final ElementType type;
    private final KernelMemory.Scope scope;
    private final Map<WeightPart, Matrix> parts = new EnumMap<>(WeightPart.class);

    BlockSparseExpertWeights(ExpertShape shape, ElementType type, KernelMemory memory) {
        this.shape = shape;
        this.type = type;
        this.scope = memory.open();
        for (WeightPart part : WeightPart.values()) {
            if (shape.has(part)) {
                boolean projection = part == WeightPart.GATE || part == WeightPart.UP || part == WeightPart.DOWN;
                long rows = (long) shape.numExperts() * (projection ? shape.ffnHiddenSize() : 1);
                parts.put(part, scope.allocate(type, rows, projection ? shape.hiddenSize() : shape.columns(part)));
            }
        }
        zero();
    }

    /** All experts of a part. */
    Matrix all(WeightPart part) {
        Matrix matrix = parts.get(part);
        if (matrix == null) {
            throw new IllegalArgumentException("part: expected one that %s has, found %s".formatted(shape, part));
        }
        return matrix;
    }

    /** One expert of a part, as it is stored. */
    private Matrix stored(WeightPart part, int expert) {
        if (expert < 0 || expert >= shape.numExperts()) {
            throw new IllegalArgumentException(
                    "expert: expected 0 to %d, found %d".formatted(shape.numExperts() - 1, expert));
        }
        Matrix all = all(part);
        long rows = all.rows() / shape.numExperts();
        return all.sliceRows(expert * rows, rows);
    }

    private static boolean storedTransposed(WeightPart part) {
        return part == WeightPart.GATE || part == WeightPart.UP;
    }

    @Override
    public ExpertShape shape() {
        return shape;
    }

    @Override
    public ElementType type() {
        return type;
    }

    @Override
    public void load(WeightPart part, int expert, Matrix source, Transpose transpose) {
        copy(source, stored(part, expert), storedTransposed(part) != (transpose == Transpose.T), "source");
    }

    @Override
    public void store(WeightPart part, int expert, Matrix target, Transpose transpose) {
        copy(stored(part, expert), target, storedTransposed(part) != (transpose == Transpose.T), "target");
    }

    private static void copy(Matrix source, Matrix target, boolean transposed, String outside) {
        if (!transposed) {
            checkShape(source, target.rows(), target.columns(), outside);
            target.copyFrom(source);
            return;
        }
        checkShape(source, target.columns(), target.rows(), outside);
        for (long i = 0; i < target.rows(); i++) {
            for (long j = 0; j < target.columns(); j++) {
                target.set(i, j, source.get(j, i));
            }
        }
    }

    private static void checkShape(Matrix source, long rows, long columns, String outside) {
        if (source.rows() != rows || source.columns() != columns) {
            throw new IllegalArgumentException("%s: expected a shape that copies %d x %d elements, found %d x %d"
                    .formatted(outside, rows, columns, source.rows(), source.columns()));
        }
    }

    @Override
    public void zero() {
        parts.values().forEach(part -> part.fill(0));
    }

    @Override
    public List<Matrix> storage() {
        return parts.values().stream()
                .map(m -> Matrix.of(m.segment(), type, 1, m.rows() * m.columns()))
                .toList();
    }

    @Override
    public void close() {
        scope.close();
    }
}
