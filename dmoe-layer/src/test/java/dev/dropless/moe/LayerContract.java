package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routing;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * What every back end must give in every precision: the results of the naive formulas forward, and those of the float64 reference, which finite differences
 * check, backward; and what must hold exactly.
 */
abstract class LayerContract {

    /** Opens the back end under test. */
    abstract Kernels open();

    /** Types of parameters and activations. */
    abstract Precision precision();

    /** Type of x, y, gradients. */
    ElementType dataType() {
        return precision().experts();
    }

    /** Largest relative error (2-norm) of outputs and gradients. */
    abstract double tolerance();

    private static final int[] TOKENS = {1, 2, 17, 40};

    @TestFactory
    Stream<DynamicTest> everyOptionForwardAndBackward() {
        return Configs.all().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> {
                    for (int tokens : TOKENS) {
                        compare(e.getValue(), tokens, tokens);
                    }
                }));
    }

    private void compare(MoeConfig config, int tokens, long seed) {
        try (Kernels kernels = open();
                Kernels reference = Fixture.reference();
                MoeLayer layer = MoeLayer.create(kernels, config, precision());
                MoeLayer judge = MoeLayer.create(reference, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), seed);
            Fixture.copy(layer.parameters(), judge.parameters());
            Random random = new Random(seed);
            Matrix x = Fixture.copyAs(dataType(), Fixture.normal(random, tokens, config.hiddenSize()));
            Matrix dY = Fixture.copyAs(dataType(), Fixture.normal(random, tokens, config.hiddenSize()));
            ForwardOptions options = ForwardOptions.evaluation();
            double[] expected = new NaiveLayer(config, judge.parameters()).forward(x, options);
            Matrix y = Fixture.poisoned(dataType(), tokens, config.hiddenSize());
            Routing routing = layer.forward(x, y, options);
            assertArrayEquals(
                    new NaiveLayer(config, judge.parameters()).route(x, options).expertIds(), routing.expertIds());
            assertTrue(Fixture.error(y.toDoubles(), expected) <= tolerance(), "forward");
            for (MemoryPolicy policy : MemoryPolicy.values()) {
                ForwardOptions training = ForwardOptions.training(RouterNoise.seeded(seed));
                Fixture.Result got =
                        Fixture.run(layer, x, dY, training, policy, Fixture.Losses.NONE, dataType(), Trainable.all());
                Fixture.Result want = Fixture.run(judge, x, dY, training, MemoryPolicy.SAVE_ALL, Fixture.Losses.NONE);
                double error = Fixture.error(got, want);
                assertTrue(error <= tolerance(), "%s, T = %d: error %g".formatted(policy, tokens, error));
            }
        }
    }

    private MoeConfig everything() {
        return Configs.all().get("everything, OUTPUT, ROUTER");
    }

    private record Setup(Kernels kernels, MoeLayer layer, Matrix x, Matrix dY) implements AutoCloseable {
        @Override
        public void close() {
            layer.close();
            kernels.close();
        }
    }

    private Setup setup(MoeConfig config, int tokens, long seed) {
        Kernels kernels = open();
        MoeLayer layer = MoeLayer.create(kernels, config, precision());
        Fixture.randomize(layer.parameters(), seed);
        Random random = new Random(seed + 1);
        Matrix x = Fixture.copyAs(dataType(), Fixture.normal(random, tokens, config.hiddenSize()));
        Matrix dY = Fixture.copyAs(dataType(), Fixture.normal(random, tokens, config.hiddenSize()));
        return new Setup(kernels, layer, x, dY);
    }

    private Fixture.Result run(Setup setup, Matrix x, Matrix dY) {
        return run(setup, x, dY, MemoryPolicy.RECOMPUTE_ACTIVATION);
    }

    private Fixture.Result run(Setup setup, Matrix x, Matrix dY, MemoryPolicy policy) {
        return Fixture.run(
                setup.layer,
                x,
                dY,
                ForwardOptions.evaluation(),
                policy,
                Fixture.Losses.NONE,
                dataType(),
                Trainable.all());
    }

    private static void assertSame(Fixture.Result expected, Fixture.Result found) {
        assertArrayEquals(expected.y(), found.y());
        assertArrayEquals(expected.dX(), found.dX());
        for (int i = 0; i < expected.gradients().size(); i++) {
            assertArrayEquals(expected.gradients().get(i), found.gradients().get(i));
        }
    }

    @Test
    void noTokens() {
        for (MoeConfig config : Configs.all().values()) {
            try (Setup s = setup(config, 0, 3)) {
                Fixture.Result result = run(s, s.x, s.dY);
                for (double[] gradient : result.gradients()) {
                    assertArrayEquals(new double[gradient.length], gradient);
                }
            }
        }
    }

    @Test
    void allTokensToOneExpertAndToEmptyOnes() {
        int tokens = 19;
        int[] ids = new int[tokens];
        Arrays.fill(ids, 2);
        double[] weights = new double[tokens];
        Arrays.fill(weights, 0.5);
        MoeConfig config =
                MoeConfig.builder(5, 3, 4, new FixedRouter(1, ids, weights)).build();
        try (Setup s = setup(config, tokens, 4)) {
            Fixture.Result result = run(s, s.x, s.dY);
            double[] expected = new NaiveLayer(config, s.layer.parameters()).forward(s.x, ForwardOptions.evaluation());
            assertTrue(Fixture.error(result.y(), expected) <= tolerance());
        }
    }

    @Test
    void slotsWithoutExpertContributeNothing() {
        int[] ids = new int[12];
        Arrays.fill(ids, -1);
        double[] weights = new double[12];
        Arrays.fill(weights, 7);
        FixedRouter router = new FixedRouter(2, ids, weights);
        try (Setup s = setup(MoeConfig.builder(5, 3, 4, router).build(), 6, 5)) {
            Fixture.Result result = run(s, s.x, s.dY);
            assertArrayEquals(new double[30], result.y());
            assertArrayEquals(new double[30], result.dX());
            assertArrayEquals(new double[12], router.dWeights);
        }
    }

    @Test
    void permutingTokensPermutesResults() {
        int tokens = 23;
        try (Setup s = setup(Configs.all().get("shared behind a gate"), tokens, 6)) {
            int[] order = new Random(1)
                    .ints(0, Integer.MAX_VALUE)
                    .limit(tokens)
                    .map(i -> i)
                    .toArray();
            Integer[] permutation = new Integer[tokens];
            Arrays.setAll(permutation, i -> i);
            Arrays.sort(permutation, (a, b) -> Integer.compare(order[a], order[b]));
            Fixture.Result plain = run(s, s.x, s.dY);
            Fixture.Result shuffled = run(s, permuted(s.x, permutation), permuted(s.dY, permutation));
            int hidden = (int) s.x.columns();
            for (int t = 0; t < tokens; t++) {
                for (int h = 0; h < hidden; h++) {
                    assertEquals(plain.y()[permutation[t] * hidden + h], shuffled.y()[t * hidden + h]);
                    assertEquals(plain.dX()[permutation[t] * hidden + h], shuffled.dX()[t * hidden + h]);
                }
            }
            for (int i = 0; i < plain.gradients().size(); i++) {
                double error = Fixture.error(
                        shuffled.gradients().get(i), plain.gradients().get(i));
                assertTrue(error <= tolerance(), "another order of summation, error " + error);
            }
        }
    }

    private Matrix permuted(Matrix matrix, Integer[] permutation) {
        Matrix result = Fixture.poisoned(dataType(), (int) matrix.rows(), (int) matrix.columns());
        for (int t = 0; t < permutation.length; t++) {
            result.sliceRows(t, 1).copyFrom(matrix.sliceRows(permutation[t], 1));
        }
        return result;
    }

    @Test
    void relabellingExpertsChangesNothing() {
        int experts = 4;
        int[] relabel = {2, 0, 3, 1};
        MoeConfig config = Configs.all().get("gated silu, top 2 of 4");
        try (Setup s = setup(config, 21, 7);
                MoeLayer other = MoeLayer.create(s.kernels, config, precision())) {
            Matrix from = s.layer.parameters().routerWeight();
            Matrix to = other.parameters().routerWeight();
            for (int e = 0; e < experts; e++) {
                to.sliceRows(relabel[e], 1).copyFrom(from.sliceRows(e, 1));
                for (var part : dev.dropless.blocksparse.WeightPart.values()) {
                    if (config.experts().has(part)) {
                        other.parameters()
                                .experts()
                                .load(
                                        part,
                                        relabel[e],
                                        Fixture.part(s.layer.parameters().experts(), part, e),
                                        dev.dropless.blocksparse.Transpose.N);
                    }
                }
            }
            Fixture.Result plain = run(s, s.x, s.dY);
            Fixture.Result relabelled = run(new Setup(s.kernels, other, s.x, s.dY), s.x, s.dY);
            // softmax sums over the experts in another order, so nothing is equal to the last bit
            assertTrue(Fixture.error(relabelled.y(), plain.y()) <= tolerance());
            assertTrue(Fixture.error(relabelled.dX(), plain.dX()) <= tolerance());
        }
    }

    @Test
    void nanInOneExpertReachesItsTokensOnly() {
        try (Setup s = setup(Configs.all().get("gated silu, top 2 of 4"), 40, 8)) {
            Fixture.Result clean = run(s, s.x, s.dY);
            var shape = s.layer.config().experts();
            Matrix nan = Matrix.of(new double[5 * 3], 5, 3);
            nan.fill(Double.NaN);
            assertEquals(3, shape.ffnHiddenSize());
            s.layer
                    .parameters()
                    .experts()
                    .load(dev.dropless.blocksparse.WeightPart.GATE, 1, nan, dev.dropless.blocksparse.Transpose.N);
            Matrix y = Fixture.poisoned(dataType(), 40, 5);
            Routing routing = s.layer.forward(s.x, y, ForwardOptions.evaluation());
            int touched = 0;
            for (int t = 0; t < 40; t++) {
                boolean hit = routing.expertIds()[2 * t] == 1 || routing.expertIds()[2 * t + 1] == 1;
                touched += hit ? 1 : 0;
                for (int h = 0; h < 5; h++) {
                    assertEquals(hit ? Double.NaN : clean.y()[t * 5 + h], y.get(t, h));
                }
            }
            assertTrue(touched > 0 && touched < 40, touched + " tokens");
        }
    }

    @Test
    void nanInOneTokenReachesItsRowAndItsExpertsOnly() {
        try (Setup s = setup(Configs.all().get("identity experts"), 12, 14)) {
            Fixture.Result clean = run(s, s.x, s.dY);
            s.x.sliceRows(7, 1).fill(Double.NaN);
            Fixture.Result dirty = run(s, s.x, s.dY);
            for (int i = 0; i < 12 * 5; i++) {
                boolean hit = i / 5 == 7;
                assertEquals(hit ? Double.NaN : clean.y()[i], dirty.y()[i]);
                assertEquals(hit ? Double.NaN : clean.dX()[i], dirty.dX()[i]);
            }
        }
    }

    @Test
    void gradientsAccumulateAndDxIsOverwritten() {
        try (Setup s = setup(everything(), 9, 9);
                MoeGradients once = s.layer.newGradients(Trainable.all(), dataType());
                MoeGradients twice = s.layer.newGradients(Trainable.all(), dataType())) {
            backward(s, once);
            Matrix first = backward(s, twice);
            Matrix second = backward(s, twice);
            assertArrayEquals(first.toDoubles(), second.toDoubles());
            List<double[]> of = Fixture.tensors(once);
            for (int i = 0; i < of.size(); i++) {
                double[] expected = of.get(i);
                for (int j = 0; j < expected.length; j++) {
                    expected[j] *= 2;
                }
                double error = Fixture.error(Fixture.tensors(twice).get(i), expected);
                assertTrue(error <= 1e-6, "tensor %d: error %g".formatted(i, error));
            }
            twice.zero();
            for (Matrix tensor : twice.storage()) {
                assertArrayEquals(new double[(int) (tensor.rows() * tensor.columns())], tensor.toDoubles());
            }
        }
    }

    private Matrix backward(Setup s, MoeGradients gradients) {
        Matrix y = Fixture.poisoned(dataType(), (int) s.x.rows(), (int) s.x.columns());
        Matrix dX = Fixture.poisoned(dataType(), (int) s.x.rows(), (int) s.x.columns());
        SavedState saved =
                s.layer.forwardTraining(s.x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
        s.layer.backward(saved, s.dY, dX, gradients, List.of());
        return dX;
    }

    @Test
    void policiesGiveTheSameGradients() {
        try (Setup s = setup(everything(), 14, 13)) {
            Fixture.Result all = run(s, s.x, s.dY, MemoryPolicy.SAVE_ALL);
            Fixture.Result up = run(s, s.x, s.dY, MemoryPolicy.RECOMPUTE_UP_PROJECTION);
            Fixture.Result activation = run(s, s.x, s.dY, MemoryPolicy.RECOMPUTE_ACTIVATION);
            assertSame(all, up);
            if (precision().activations() == s.kernels.accumulation()) {
                assertSame(all, activation);
            } else { // the activation is applied to a rounded pre-activation
                assertTrue(Fixture.error(activation, all) <= tolerance());
            }
        }
    }

    @Test
    void threadsWithTheirOwnStatesGetTheSequentialResults() throws Exception {
        try (Setup s = setup(everything(), 33, 10);
                ExecutorService threads = Executors.newFixedThreadPool(3)) {
            Fixture.Result alone = run(s, s.x, s.dY);
            Callable<Fixture.Result> task = () -> run(s, s.x, s.dY);
            for (Future<Fixture.Result> result : threads.invokeAll(List.of(task, task, task, task, task, task))) {
                assertSame(alone, result.get());
            }
        }
    }

    @Test
    void whatLiesBesideTheOutputsStaysUntouched() {
        try (Setup s = setup(everything(), 6, 11)) {
            Matrix whole = Matrix.of(new double[7 * 9], 7, 9);
            whole.fill(Double.NaN);
            s.layer.forward(s.x, whole.slice(0, 6, 2, 5), ForwardOptions.evaluation());
            for (int i = 0; i < 7; i++) {
                for (int j = 0; j < 9; j++) {
                    assertEquals(i == 6 || j < 2 || j >= 7, Double.isNaN(whole.get(i, j)), i + ", " + j);
                }
            }
        }
    }

    @Test
    void frozenGroupsAreLeftOutAndTheOthersUnchanged() {
        MoeConfig config = everything();
        try (Setup s = setup(config, 11, 12)) {
            for (int bits = 0; bits < 1 << Trainable.values().length; bits++) {
                Set<Trainable> some = subset(bits);
                MemoryPolicy policy = MemoryPolicy.values()[bits % 3];
                Fixture.Result all = run(s, s.x, s.dY, policy);
                Matrix y = Fixture.poisoned(dataType(), 11, 5);
                Matrix dX = some.contains(Trainable.INPUT) ? Fixture.poisoned(dataType(), 11, 5) : null;
                try (MoeGradients full = s.layer.newGradients(Trainable.all(), dataType())) {
                    SavedState saved = s.layer.forwardTraining(s.x, y, ForwardOptions.evaluation(), policy, some);
                    s.layer.backward(saved, s.dY, dX, full, List.of());
                    assertArrayEquals(all.y(), y.toDoubles());
                    if (dX != null) {
                        assertArrayEquals(all.dX(), dX.toDoubles());
                    }
                    checkFrozen(some, full, all);
                }
            }
        }
    }

    private static Set<Trainable> subset(int bits) {
        Set<Trainable> some = java.util.EnumSet.noneOf(Trainable.class);
        for (Trainable group : Trainable.values()) {
            if ((bits >> group.ordinal() & 1) == 1) {
                some.add(group);
            }
        }
        return some;
    }

    /** Every tensor is either all there, or all zero, or, for experts, a mixture of both by part. */
    private void checkFrozen(Set<Trainable> some, MoeGradients found, Fixture.Result all) {
        List<double[]> storage = Fixture.tensors(found);
        boolean both = some.contains(Trainable.EXPERTS_UP) && some.contains(Trainable.EXPERTS_DOWN);
        assertEquals(all.gradients().size(), storage.size());
        double[] router = storage.get(0);
        double[] expectedRouter = all.gradients().get(0);
        assertArrayEquals(some.contains(Trainable.ROUTER) ? expectedRouter : new double[router.length], router);
        int experts = 6; // three projections and three biases
        int first = 6; // router weight and bias, shared gate, latent projections, output bias
        for (int i = first; i < first + experts; i++) {
            double[] values = storage.get(i);
            for (int j = 0; j < values.length; j++) {
                double expected = all.gradients().get(i)[j];
                // where only the down-projection trains, its input is kept, not computed again from a rounded value
                boolean equal = Math.abs(values[j] - expected) <= tolerance() * Math.max(1, Math.abs(expected));
                assertTrue(equal || (!both && values[j] == 0));
            }
        }
        for (int i = first + experts; i < storage.size(); i++) {
            double[] values = storage.get(i);
            assertArrayEquals(
                    some.contains(Trainable.SHARED) ? all.gradients().get(i) : new double[values.length], values);
        }
        assertFalse(storage.isEmpty());
    }
}
