package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Int8Columns;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Weights in 8 bits: what they stand for, the forward pass, and what they refuse. */
abstract class Int8WeightsContract extends ContractSupport {

    private static final int[][] SIZES = {{1, 1}, {7, 5}, {16, 33}, {37, 19}, {70, 41}};

    static Stream<TopologyCase> topologies() {
        return TopologyCase.all();
    }

    private ExpertKernels experts() {
        return kernels().experts();
    }

    private void needsInt8() {
        Assumptions.assumeTrue(backend().int8(), "this back end has no int8 weights");
    }

    private static boolean isProjection(WeightPart part) {
        return part == WeightPart.GATE || part == WeightPart.UP || part == WeightPart.DOWN;
    }

    @Test
    void areRefusedWhereThereAreNone() {
        Assumptions.assumeFalse(backend().int8());
        ExpertShape shape = new ExpertShape(1, 2, 3, true, false, false);
        assertRejected("int8 weights", () -> experts().allocateInt8(shape));
    }

    @Test
    void standForWeightsWithinHalfAStepOfTheirColumn() {
        needsInt8();
        for (int[] size : SIZES) {
            for (Transpose transpose : Transpose.values()) {
                ExpertShape shape = new ExpertShape(3, size[0], size[1], true, true, true);
                try (ExpertWeights weights = experts().allocateInt8(shape)) {
                    assertTrue(weights.isInt8());
                    for (WeightPart part : WeightPart.values()) {
                        for (int e = 0; e < 3; e++) {
                            assertNearest(weights, part, e, transpose);
                        }
                    }
                }
            }
        }
    }

    private void assertNearest(ExpertWeights weights, WeightPart part, int expert, Transpose transpose) {
        int rows = weights.shape().rows(part);
        int columns = weights.shape().columns(part);
        double[] spread = new double[columns];
        Arrays.setAll(spread, c -> Math.exp(3 * random.nextGaussian())); // columns differ widely in magnitude
        int[] next = {0};
        double[][] values =
                ExpertProblem.matrix(rows, columns, () -> spread[next[0]++ % columns] * random.nextGaussian());
        double[][] oriented = Product.op(values, columns, transpose);
        weights.load(part, expert, ExpertRun.host(oriented, oriented[0].length), transpose);
        double[][] found = ExpertRun.store(weights, part, expert);
        for (int c = 0; c < columns; c++) {
            double largest = 0;
            for (double[] row : values) {
                largest = Math.max(largest, Math.abs(row[c]));
            }
            double half = isProjection(part) ? largest / Int8Columns.LIMIT / 2 : 0;
            for (int i = 0; i < rows; i++) {
                double bound = half + 0x1p-23 * Math.abs(values[i][c]);
                assertEquals(values[i][c], found[i][c], bound, part + " " + i + " " + c + " " + transpose);
            }
        }
    }

    @Test
    void keepMultiplesExactly() {
        needsInt8();
        ExpertShape shape = new ExpertShape(2, 255, 3, true, false, false);
        try (ExpertWeights weights = experts().allocateInt8(shape)) {
            for (float scale : new float[] {1, 0.25f, 0.3f, 1e-20f}) {
                double[][] values = new double[255][3];
                for (int i = 0; i < 255; i++) {
                    values[i][0] = (double) scale * (i - 127);
                    values[i][1] = 0;
                    values[i][2] = 4.0 * scale * (127 - i);
                }
                weights.load(WeightPart.UP, 1, ExpertRun.host(values, 3), Transpose.N);
                assertSame(values, ExpertRun.store(weights, WeightPart.UP, 1), "scale " + scale);
            }
            weights.zero();
            assertSame(new double[255][3], ExpertRun.store(weights, WeightPart.UP, 1), "zeroed");
        }
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void computeWhatTheyStandFor(TopologyCase test) {
        needsInt8();
        for (int flavour = 0; flavour < 8; flavour++) {
            int[] size = SIZES[random.nextInt(SIZES.length)];
            ExpertShape shape = new ExpertShape(
                    test.numExperts(), size[0], size[1], (flavour & 1) != 0, (flavour & 2) != 0, (flavour & 4) != 0);
            Activation activation = Activation.of(Activation.Function.SILU);
            int n = test.topology().rows();
            try (ExpertWeights weights = experts().allocateInt8(shape);
                    ExpertPlan plan = experts().plan(test.topology())) {
                for (WeightPart part : WeightPart.values()) {
                    for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                        double[][] values =
                                ExpertProblem.matrix(shape.rows(part), shape.columns(part), random::nextGaussian);
                        weights.load(part, e, ExpertRun.host(values, shape.columns(part)), Transpose.N);
                    }
                }
                ExpertOracle oracle = new ExpertOracle(
                        test.ids(),
                        plan.topology(),
                        weights,
                        activation,
                        unit(kernels().accumulation()),
                        activationError());
                Operand x = input(anyType(), test.tokens(), shape.hiddenSize(), false);
                Operand pre = output(ElementType.F32, n, shape.preActivations(), true);
                Operand hidden = output(anyType(), n, shape.ffnHiddenSize(), false);
                experts().up(plan, x.matrix(), null, weights, activation, pre.matrix(), hidden.matrix());
                Expected expected = oracle.pre(x.read(), null);
                assertWithin(expected, pre, shape + " pre");
                assertWithin(oracle.hidden(expected), hidden, shape + " hidden");
                Operand out = output(ElementType.F32, n, shape.hiddenSize(), false);
                experts().down(plan, hidden.matrix(), weights, out.matrix());
                assertWithin(oracle.out(hidden.read()), out, shape + " out");
            }
        }
    }

    @Test
    void refuseTheBackwardPassAndNumbersThatHaveNoStep() {
        needsInt8();
        TopologyCase test = TopologyCase.distinct("three", 3, 2, 1);
        ExpertShape shape = new ExpertShape(2, 4, 5, true, false, false);
        Activation activation = Activation.of(Activation.Function.SILU);
        Matrix x = input(ElementType.F32, 3, 4, false).matrix();
        Matrix pre = input(ElementType.F32, 3, 10, false).matrix();
        Matrix hidden = input(ElementType.F32, 3, 5, false).matrix();
        Matrix dPre = input(ElementType.F32, 3, 10, false).matrix();
        Matrix dRows = input(ElementType.F32, 3, 4, false).matrix();
        try (ExpertWeights weights = experts().allocateInt8(shape);
                ExpertWeights plain = experts().allocate(shape, ElementType.F32);
                ExpertPlan plan = experts().plan(test.topology())) {
            assertFalse(plain.isInt8());
            assertThrows(IllegalStateException.class, weights::storage);
            assertRejected(
                    "weights",
                    () -> experts().downDgrad(plan, x, null, weights, activation, pre, hidden, false, dPre, null));
            assertRejected("weights", () -> experts().upDgrad(plan, dPre, weights, dRows));
            assertRejected("gradients", () -> experts().downWgrad(plan, hidden, x, null, weights));
            assertRejected("gradients", () -> experts().upWgrad(plan, x, null, dPre, weights));
            for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY, 1e300}) {
                double[][] values = new double[4][5];
                values[2][3] = value;
                assertRejected(
                        "source", () -> weights.load(WeightPart.GATE, 0, ExpertRun.host(values, 5), Transpose.N));
            }
        }
    }
}
