package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Every part of all experts one after the other, each row-major in the orientation y = x W: one matrix [1, E * rows *
 * columns] per part.
 */
final class ReferenceExpertWeights implements ExpertWeights {

    private final ExpertShape shape;
    private final ElementType type;
    private final Arena arena = Arena.ofShared();
    private final Map<WeightPart, Matrix> parts = new EnumMap<>(WeightPart.class);

    ReferenceExpertWeights(ExpertShape shape, ElementType type) {
        this.shape = shape;
        this.type = type;
        for (WeightPart part : WeightPart.values()) {
            if (shape.has(part)) {
                long elements = (long) shape.rows(part) * shape.columns(part);
                parts.put(part, Matrix.allocate(arena, type, 1, Math.multiplyExact(elements, shape.numExperts())));
            }
        }
    }

    /** One part of one expert, [rows, columns]; the part must exist. */
    Matrix matrix(WeightPart part, int expert) {
        Matrix all = parts.get(part);
        if (all == null) {
            throw new IllegalArgumentException("part: expected one of %s, found %s".formatted(parts.keySet(), part));
        }
        int rows = shape.rows(part);
        int columns = shape.columns(part);
        long first = (long) rows * columns * expert;
        return new Matrix(all.segment(), type, first, rows, columns, columns, MemorySpace.HOST);
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
        ExpertOperands.part(shape, part, expert, "source", source, transpose);
        Doubles.write(Doubles.read(source, transpose), matrix(part, expert), false);
    }

    @Override
    public void store(WeightPart part, int expert, Matrix target, Transpose transpose) {
        ExpertOperands.part(shape, part, expert, "target", target, transpose);
        Doubles.write(Doubles.read(matrix(part, expert), transpose), target, false);
    }

    @Override
    public void zero() {
        parts.values().forEach(all -> all.segment().fill((byte) 0));
    }

    @Override
    public List<Matrix> storage() {
        return List.copyOf(new ArrayList<>(parts.values()));
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
