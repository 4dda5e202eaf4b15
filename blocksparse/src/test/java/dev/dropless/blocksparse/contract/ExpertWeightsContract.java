package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;

/** Import, export and elementwise storage of weights. */
abstract class ExpertWeightsContract extends ContractSupport {

    /** At most 256 weights, so that every type can count them. */
    private static List<ExpertShape> shapes() {
        List<ExpertShape> shapes = new ArrayList<>();
        for (int flavour = 0; flavour < 8; flavour++) {
            boolean gated = (flavour & 1) != 0;
            shapes.add(new ExpertShape(2, 3, 5, gated, (flavour & 2) != 0, (flavour & 4) != 0));
            shapes.add(new ExpertShape(1, 1, 1, gated, (flavour & 2) != 0, (flavour & 4) != 0));
            shapes.add(new ExpertShape(1, 17, 4, gated, (flavour & 2) != 0, (flavour & 4) != 0));
        }
        return shapes;
    }

    /** Loads value(0), value(1), ... into all parts in order, in the given orientation; returns how many. */
    private static int load(ExpertWeights weights, IntToDoubleFunction value, Transpose transpose) {
        ExpertShape shape = weights.shape();
        int next = 0;
        for (WeightPart part : WeightPart.values()) {
            for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                double[][] values = new double[shape.rows(part)][shape.columns(part)];
                for (double[] row : values) {
                    for (int j = 0; j < row.length; j++) {
                        row[j] = value.applyAsDouble(next++);
                    }
                }
                double[][] source = Product.op(values, shape.columns(part), transpose);
                weights.load(part, e, ExpertRun.host(source, source[0].length), transpose);
            }
        }
        return next;
    }

    private static void assertLoaded(ExpertWeights weights, IntToDoubleFunction value, String what) {
        ExpertShape shape = weights.shape();
        int next = 0;
        for (WeightPart part : WeightPart.values()) {
            for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                double[][] found = ExpertRun.store(weights, part, e);
                Matrix transposed = Matrix.of(new float[found.length * found[0].length], found[0].length, found.length);
                transposed.fill(Double.NaN);
                weights.store(part, e, transposed, Transpose.T);
                for (int i = 0; i < found.length; i++) {
                    for (int j = 0; j < found[i].length; j++) {
                        double expected = value.applyAsDouble(next++);
                        assertEquals(expected, found[i][j], what + " " + part + " " + e);
                        assertEquals(expected, transposed.get(j, i), what + " transposed " + part + " " + e);
                    }
                }
            }
        }
    }

    /** The storage on the host. */
    private List<double[]> storage(ExpertWeights weights) {
        List<double[]> all = new ArrayList<>();
        for (Matrix matrix : weights.storage()) {
            assertEquals(1, matrix.rows());
            assertEquals(weights.type(), matrix.type());
            assertEquals(kernels().memory().space(), matrix.space());
            Matrix host = Matrix.allocate(Arena.ofAuto(), ElementType.F64, 1, matrix.columns());
            kernels().memory().copy(matrix, host);
            all.add(host.toDoubles());
        }
        return all;
    }

    @Test
    void partsComeBackInBothOrientationsAndEveryType() {
        for (ExpertShape shape : shapes()) {
            for (ElementType type : weightTypes()) {
                for (Transpose transpose : Transpose.values()) {
                    try (ExpertWeights weights = kernels().experts().allocate(shape, type)) {
                        assertEquals(shape, weights.shape());
                        assertEquals(type, weights.type());
                        String what = shape + " " + type + " " + transpose;
                        assertLoaded(weights, i -> 0, what + " new");
                        load(weights, i -> i + 1, transpose);
                        assertLoaded(weights, i -> i + 1, what);
                        weights.zero();
                        assertLoaded(weights, i -> 0, what + " zeroed");
                    }
                }
            }
        }
    }

    @Test
    void strideAndTypeOfTheSourceDoNotMatter() {
        ExpertShape shape = new ExpertShape(2, 3, 5, false, false, false);
        ElementType type = weightTypes().getFirst();
        for (ElementType sourceType : ElementType.values()) {
            try (ExpertWeights weights = kernels().experts().allocate(shape, type);
                    Arena arena = Arena.ofConfined()) {
                Matrix all = Matrix.allocate(arena, sourceType, 4, 11);
                for (int i = 0; i < 4; i++) {
                    for (int j = 0; j < 11; j++) {
                        all.set(i, j, 10 * i + j);
                    }
                }
                weights.load(WeightPart.GATE, 1, all.slice(1, 3, 2, 5), Transpose.N);
                Matrix target = Matrix.allocate(arena, sourceType, 5, 9);
                target.fill(-1);
                weights.store(WeightPart.GATE, 1, target.slice(0, 5, 4, 3), Transpose.T);
                for (int i = 0; i < 5; i++) {
                    for (int j = 0; j < 9; j++) {
                        boolean inside = j >= 4 && j < 7;
                        assertEquals(inside ? 10 * (j - 4 + 1) + i + 2 : -1, target.get(i, j), sourceType + " " + i);
                    }
                }
            }
        }
    }

    @Test
    void storageHoldsEveryWeightOnceAndZeroPadding() {
        for (ExpertShape shape : shapes()) {
            for (ElementType type : weightTypes()) {
                try (ExpertWeights weights = kernels().experts().allocate(shape, type)) {
                    int count = load(weights, i -> i + 1, Transpose.N);
                    boolean[] seen = new boolean[count + 1];
                    for (double[] values : storage(weights)) {
                        for (double value : values) {
                            if (value != 0) {
                                assertEquals(false, seen[(int) value], "weight " + value + " is stored twice");
                            }
                            seen[(int) value] = true;
                        }
                    }
                    for (int i = 1; i <= count; i++) {
                        assertEquals(true, seen[i], "weight " + i + " is in the storage");
                    }
                }
            }
        }
    }

    @Test
    void storageHasTheSameLayoutInEveryType() {
        for (ExpertShape shape : shapes()) {
            List<double[]> first = new ArrayList<>();
            for (ElementType type : weightTypes()) {
                try (ExpertWeights weights = kernels().experts().allocate(shape, type)) {
                    load(weights, i -> i + 1, Transpose.N);
                    List<double[]> storage = storage(weights);
                    first = first.isEmpty() ? storage : first;
                    assertEquals(first.size(), storage.size());
                    for (int i = 0; i < storage.size(); i++) {
                        assertSame(new double[][] {first.get(i)}, new double[][] {storage.get(i)}, shape + " " + type);
                    }
                }
            }
        }
    }

    @Test
    void addingStoragesAddsTheParts() {
        for (ExpertShape shape : shapes()) {
            for (ElementType type : weightTypes()) {
                try (ExpertWeights sum = kernels().experts().allocate(shape, type);
                        ExpertWeights other = kernels().experts().allocate(shape, type)) {
                    load(sum, i -> i % 11, Transpose.N);
                    load(other, i -> -3 * i % 7, Transpose.T);
                    addStorage(sum, other);
                    assertLoaded(sum, i -> i % 11 + -3 * i % 7, shape + " " + type);
                    assertLoaded(other, i -> -3 * i % 7, shape + " " + type);
                }
            }
        }
    }

    private void addStorage(ExpertWeights sum, ExpertWeights other) {
        List<double[]> terms = storage(other);
        List<double[]> values = storage(sum);
        for (int i = 0; i < values.size(); i++) {
            for (int j = 0; j < values.get(i).length; j++) {
                values.get(i)[j] += terms.get(i)[j];
            }
            kernels()
                    .memory()
                    .copy(
                            Matrix.of(values.get(i), 1, values.get(i).length),
                            sum.storage().get(i));
        }
    }

    @Test
    void wrongPartsAndShapesAreRejected() {
        ExpertShape shape = new ExpertShape(2, 3, 5, false, false, true);
        try (ExpertWeights weights =
                kernels().experts().allocate(shape, weightTypes().getFirst())) {
            Matrix right = Matrix.of(new float[15], 3, 5);
            assertRejected("part", () -> weights.load(WeightPart.UP, 0, right, Transpose.N));
            assertRejected("part", () -> weights.store(WeightPart.GATE_BIAS, 0, right, Transpose.N));
            assertRejected("expert", () -> weights.load(WeightPart.GATE, 2, right, Transpose.N));
            assertRejected("expert", () -> weights.store(WeightPart.GATE, -1, right, Transpose.N));
            assertRejected("source", () -> weights.load(WeightPart.GATE, 0, right, Transpose.T));
            assertRejected("target", () -> weights.store(WeightPart.DOWN, 0, right, Transpose.N));
            assertRejected("source", () -> weights.load(WeightPart.DOWN_BIAS, 0, right, Transpose.N));
        }
    }

    @Test
    void closingTwiceDoesNothing() {
        ExpertWeights weights = kernels()
                .experts()
                .allocate(
                        new ExpertShape(1, 2, 3, true, true, true),
                        weightTypes().getFirst());
        weights.close();
        weights.close();
    }
}
