package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Int8Columns;
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
    private final boolean int8;
    private final Arena arena = Arena.ofShared();
    private final Map<WeightPart, Matrix> parts = new EnumMap<>(WeightPart.class);

    ReferenceExpertWeights(ExpertShape shape, ElementType type) {
        this(shape, type, false);
    }

    /** Of int8 weights, what they stand for is kept. */
    ReferenceExpertWeights(ExpertShape shape, ElementType type, boolean int8) {
        this.shape = shape;
        this.type = type;
        this.int8 = int8;
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
        double[][] values = Doubles.read(source, transpose);
        if (int8 && isProjection(part)) {
            round(values, source, transpose);
        }
        Doubles.write(values, matrix(part, expert), false);
    }

    private static boolean isProjection(WeightPart part) {
        return part == WeightPart.GATE || part == WeightPart.UP || part == WeightPart.DOWN;
    }

    private static void round(double[][] values, Matrix source, Transpose transpose) {
        float[] scales = new float[values[0].length];
        Int8Columns.scales(source, transpose, scales);
        for (double[] row : values) {
            for (int c = 0; c < row.length; c++) {
                row[c] = (double) scales[c] * Int8Columns.quantize(row[c], scales[c]);
            }
        }
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
    public boolean isInt8() {
        return int8;
    }

    @Override
    public List<Matrix> storage() {
        if (int8) {
            throw ExpertOperands.noStorage();
        }
        return List.copyOf(new ArrayList<>(parts.values()));
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
