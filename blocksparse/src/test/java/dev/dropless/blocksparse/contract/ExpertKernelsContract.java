package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.Activation.Function;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Level 2, operation by operation, against loops over slots in double precision, for every kind of topology, expert and
 * operand.
 */
abstract class ExpertKernelsContract extends ContractSupport {

    private static final int[][] SIZES = {{1, 1}, {7, 5}, {16, 33}, {20, 16}, {37, 19}};

    /** All activations, with and without limits. */
    static List<Activation> activations() {
        List<Activation> all = new ArrayList<>();
        for (Function function : Function.values()) {
            double alpha = function == Function.SILU ? 1.702 : 1;
            all.add(Activation.of(function));
            all.add(new Activation(function, alpha, 0.75, 0.5, 1)); // limits that normal values often exceed
        }
        return all;
    }

    static Stream<TopologyCase> topologies() {
        return TopologyCase.all();
    }

    /** Operands of one operation: everything that several tests need, in random types, strided or not. */
    private final class Bench implements AutoCloseable {
        final TopologyCase test;
        final ExpertShape shape;
        final Activation activation;
        final boolean strided = random.nextBoolean();
        final int n;
        final ExpertPlan plan;
        final ExpertWeights weights;
        final ExpertOracle oracle;
        final @Nullable Operand slotWeights;
        final String name;

        Bench(TopologyCase test, int flavour) {
            this.test = test;
            List<Activation> activations = activations();
            int[] size = SIZES[random.nextInt(SIZES.length)];
            shape = new ExpertShape(
                    test.numExperts(), size[0], size[1], (flavour & 1) != 0, (flavour & 2) != 0, (flavour & 4) != 0);
            activation = activations.get(random.nextInt(activations.size()));
            n = test.topology().rows();
            plan = kernels().experts().plan(test.topology());
            weights = randomWeights(
                    shape, weightTypes().get(random.nextInt(weightTypes().size())));
            oracle = new ExpertOracle(
                    test.ids(),
                    plan.topology(),
                    weights,
                    activation,
                    unit(kernels().accumulation()),
                    activationError());
            slotWeights = random.nextBoolean() ? input(test.tokens(), test.topK()) : null;
            name = test + " " + shape + " " + activation + " weights " + weights.type() + ", strided " + strided;
        }

        Operand input(int rows, int columns) {
            return ExpertKernelsContract.this.input(anyType(), rows, columns, strided);
        }

        Operand output(int rows, int columns) {
            return ExpertKernelsContract.this.output(anyType(), rows, columns, strided);
        }

        double @Nullable [][] slotValues() {
            return slotWeights == null ? null : slotWeights.read();
        }

        @Nullable
        Matrix slotMatrix() {
            return slotWeights == null ? null : slotWeights.matrix();
        }

        @Override
        public void close() {
            weights.close();
            plan.close();
        }
    }

    private ExpertWeights randomWeights(ExpertShape shape, ElementType type) {
        ExpertWeights weights = kernels().experts().allocate(shape, type);
        for (WeightPart part : WeightPart.values()) {
            for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                double[][] values = ExpertProblem.matrix(shape.rows(part), shape.columns(part), random::nextGaussian);
                weights.load(part, e, ExpertRun.host(values, shape.columns(part)), Transpose.N);
            }
        }
        return weights;
    }

    private ExpertKernels experts() {
        return kernels().experts();
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void up(TopologyCase test) {
        for (int flavour = 0; flavour < 8; flavour++) {
            try (Bench bench = new Bench(test, flavour)) {
                Operand x = bench.input(test.tokens(), bench.shape.hiddenSize());
                Operand pre = bench.output(bench.n, bench.shape.preActivations());
                Operand hidden = bench.output(bench.n, bench.shape.ffnHiddenSize());
                experts()
                        .up(
                                bench.plan,
                                x.matrix(),
                                bench.slotMatrix(),
                                bench.weights,
                                bench.activation,
                                pre.matrix(),
                                hidden.matrix());
                Expected expected = bench.oracle.pre(x.read(), bench.slotValues());
                assertWithin(expected, pre, bench.name + " pre");
                assertWithin(bench.oracle.hidden(expected), hidden, bench.name + " hidden");

                Operand hiddenOnly = output(hidden.type(), bench.n, bench.shape.ffnHiddenSize(), !bench.strided);
                experts()
                        .up(
                                bench.plan,
                                x.matrix(),
                                bench.slotMatrix(),
                                bench.weights,
                                bench.activation,
                                null,
                                hiddenOnly.matrix());
                assertSame(hidden.read(), hiddenOnly.read(), bench.name + " without pre");
                hiddenOnly.assertBorderUntouched(bench.name);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void downAndCombine(TopologyCase test) {
        for (int flavour = 0; flavour < 8; flavour++) {
            try (Bench bench = new Bench(test, flavour)) {
                Operand hidden = bench.input(bench.n, bench.shape.ffnHiddenSize());
                Operand out = bench.output(bench.n, bench.shape.hiddenSize());
                experts().down(bench.plan, hidden.matrix(), bench.weights, out.matrix());
                assertWithin(bench.oracle.out(hidden.read()), out, bench.name + " out");

                boolean accumulate = random.nextBoolean();
                Operand y = accumulate
                        ? bench.input(test.tokens(), bench.shape.hiddenSize())
                        : bench.output(test.tokens(), bench.shape.hiddenSize());
                double[][] before = accumulate ? y.read() : new double[test.tokens()][bench.shape.hiddenSize()];
                experts().combine(bench.plan, out.matrix(), bench.slotMatrix(), y.matrix(), accumulate);
                assertWithin(
                        bench.oracle.tokenSums(out.read(), bench.slotValues(), before), y, bench.name + " combine");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void downDgrad(TopologyCase test) {
        for (int flavour = 0; flavour < 16; flavour++) {
            boolean recompute = (flavour & 8) != 0;
            try (Bench bench = new Bench(test, flavour)) {
                Operand dY = bench.input(test.tokens(), bench.shape.hiddenSize());
                Operand pre = bench.input(bench.n, bench.shape.preActivations());
                Operand hidden = recompute
                        ? bench.output(bench.n, bench.shape.ffnHiddenSize())
                        : bench.input(bench.n, bench.shape.ffnHiddenSize());
                boolean inPlace = random.nextBoolean();
                Operand dPre = inPlace ? pre : bench.output(bench.n, bench.shape.preActivations());
                Operand dWeights = random.nextBoolean() ? bench.output(test.tokens(), test.topK()) : null;
                double[][] given = pre.read();
                Expected activations =
                        recompute ? bench.oracle.hidden(ExpertOracle.exact(given)) : ExpertOracle.exact(hidden.read());
                experts()
                        .downDgrad(
                                bench.plan,
                                dY.matrix(),
                                bench.slotMatrix(),
                                bench.weights,
                                bench.activation,
                                pre.matrix(),
                                hidden.matrix(),
                                recompute,
                                dPre.matrix(),
                                dWeights == null ? null : dWeights.matrix());
                String name = bench.name + " recompute " + recompute + " in place " + inPlace;
                assertWithin(activations, hidden, name + " hidden");
                assertWithin(bench.oracle.dPre(dY.read(), bench.slotValues(), given), dPre, name + " dPre");
                if (dWeights != null) {
                    double rounding = recompute ? unit(hidden.type()) : 0;
                    assertWithin(
                            bench.oracle.dCombineWeights(dY.read(), activations, rounding), dWeights, name + " dW");
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void weightGradientsAreAdded(TopologyCase test) {
        for (int flavour = 0; flavour < 8; flavour++) {
            try (Bench bench = new Bench(test, flavour)) {
                ExpertShape shape = bench.shape;
                int f = shape.ffnHiddenSize();
                Operand x = bench.input(test.tokens(), shape.hiddenSize());
                Operand dY = bench.input(test.tokens(), shape.hiddenSize());
                Operand hidden = bench.input(bench.n, f);
                Operand dPre = bench.input(bench.n, shape.preActivations());
                ExpertWeights gradients = bench.weights; // any numbers to add to
                double[][] d = dPre.read();
                double @Nullable [][] slots = bench.slotValues();
                List<Expected[]> expected = new ArrayList<>();
                ExpertOracle oracle = bench.oracle;
                double upError = slots == null ? 0 : backend().weightedFactorError(x.type(), dPre.type());
                double downError = slots == null ? 0 : backend().weightedFactorError(hidden.type(), dY.type());
                expected.add(oracle.dUp(x.read(), slots, d, 0, before(gradients, WeightPart.GATE), upError));
                expected.add(oracle.dUp(x.read(), slots, d, f, before(gradients, WeightPart.UP), upError));
                expected.add(
                        oracle.dDown(hidden.read(), dY.read(), slots, before(gradients, WeightPart.DOWN), downError));
                expected.add(oracle.dUpBias(d, 0, before(gradients, WeightPart.GATE_BIAS)));
                expected.add(oracle.dUpBias(d, f, before(gradients, WeightPart.UP_BIAS)));
                expected.add(oracle.dDownBias(dY.read(), slots, before(gradients, WeightPart.DOWN_BIAS)));
                experts().downWgrad(bench.plan, hidden.matrix(), dY.matrix(), bench.slotMatrix(), gradients);
                experts().upWgrad(bench.plan, x.matrix(), bench.slotMatrix(), dPre.matrix(), gradients);
                for (WeightPart part : WeightPart.values()) {
                    Expected[] perExpert = expected.get(part.ordinal());
                    for (int e = 0; e < perExpert.length; e++) {
                        double[][] found = ExpertRun.store(gradients, part, e);
                        String what = bench.name + " " + part + " of expert " + e;
                        if (bench.plan.topology().tokensPerExpert(e) == 0) {
                            assertSame(perExpert[e].value, found, what);
                        } else {
                            assertWithin(perExpert[e], found, gradients.type(), what);
                        }
                    }
                }
            }
        }
    }

    private static double[][][] before(ExpertWeights gradients, WeightPart part) {
        if (!gradients.shape().has(part)) {
            return new double[0][][];
        }
        double[][][] values = new double[gradients.shape().numExperts()][][];
        for (int e = 0; e < values.length; e++) {
            values[e] = ExpertRun.store(gradients, part, e);
        }
        return values;
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void upDgradAndAggregate(TopologyCase test) {
        for (int flavour = 0; flavour < 8; flavour++) {
            try (Bench bench = new Bench(test, flavour)) {
                int h = bench.shape.hiddenSize();
                Operand x = bench.input(test.tokens(), h);
                Operand dPre = bench.input(bench.n, bench.shape.preActivations());
                Operand dRows = bench.output(bench.n, h);
                experts().upDgrad(bench.plan, dPre.matrix(), bench.weights, dRows.matrix());
                assertWithin(bench.oracle.dRows(dPre.read()), dRows, bench.name + " dRows");

                boolean accumulate = random.nextBoolean();
                Operand dX = accumulate ? bench.input(test.tokens(), h) : bench.output(test.tokens(), h);
                double[][] before = accumulate ? dX.read() : new double[test.tokens()][h];
                Operand dV = random.nextBoolean() ? bench.output(test.tokens(), test.topK()) : null;
                experts()
                        .aggregate(
                                bench.plan,
                                dRows.matrix(),
                                bench.slotMatrix(),
                                dV == null ? null : x.matrix(),
                                dX.matrix(),
                                accumulate,
                                dV == null ? null : dV.matrix());
                double[][] rows = dRows.read();
                assertWithin(bench.oracle.tokenSums(rows, bench.slotValues(), before), dX, bench.name + " dX");
                if (dV != null) {
                    assertWithin(bench.oracle.dInputWeights(x.read(), rows), dV, bench.name + " dInputWeights");
                }
            }
        }
    }
}
