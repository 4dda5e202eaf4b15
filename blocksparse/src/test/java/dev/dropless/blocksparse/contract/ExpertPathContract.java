package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.Activation.Function;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Level 2 as a whole: derivatives, isolation of experts, and independence of threads. */
abstract class ExpertPathContract extends ContractSupport {

    private static final double STEP = 1e-5;
    private static final int ANY = -1;

    private ElementType weightType() {
        return weightTypes().contains(ElementType.F64) ? ElementType.F64 : ElementType.F32;
    }

    private Map<String, double[][]> run(ExpertProblem problem) {
        return ExpertRun.of(kernels(), problem, exactType(), weightType(), false);
    }

    private ExpertProblem problem(TopologyCase test, int h, int f, int flavour, Activation activation) {
        ExpertShape shape =
                new ExpertShape(test.numExperts(), h, f, (flavour & 1) != 0, (flavour & 2) != 0, (flavour & 4) != 0);
        return ExpertProblem.random(random, test.ids(), test.topK(), shape, activation, (flavour & 8) == 0);
    }

    static Stream<Activation> activations() {
        return ExpertKernelsContract.activations().stream();
    }

    @ParameterizedTest
    @MethodSource("activations")
    void gradientsAreFiniteDifferences(Activation activation) {
        TopologyCase test = new TopologyCase("small", 3, 2, new int[] {0, 2, 2, -1, 0, 2, 2, 0});
        for (int flavour = 0; flavour < 16; flavour++) {
            ExpertProblem problem = problem(test, 3, 2, flavour, activation);
            Map<String, double[][]> results = run(problem);
            String what = activation + " flavour " + flavour;
            double tolerance = Math.max(1e-6, pathError());
            assertMatrix(problem.forward(), results.get("y"), pathError(), pathError(), what + " y");
            assertGradient(problem, problem.x(), results.get("dX"), tolerance, what + " dX");
            if (problem.inputWeights() != null) {
                double[][] dV = results.get("dInputWeights");
                assertGradient(problem, problem.inputWeights(), dV, tolerance, what + " dV");
            }
            if (problem.combineWeights() != null) {
                double[][] dW = results.get("dCombineWeights");
                assertGradient(problem, problem.combineWeights(), dW, tolerance, what + " dW");
            }
            problem.weights().forEach((part, experts) -> {
                for (int e = 0; e < experts.length; e++) {
                    assertGradient(problem, experts[e], results.get(part + " " + e), tolerance, what + part + e);
                }
            });
        }
    }

    /** Central differences of the loss by every number of an input; the input is restored. */
    private void assertGradient(
            ExpertProblem problem, double[][] input, double[][] gradient, double tolerance, String what) {
        double[][] differences = new double[input.length][];
        for (int i = 0; i < input.length; i++) {
            differences[i] = new double[input[i].length];
            for (int j = 0; j < input[i].length; j++) {
                double value = input[i][j];
                input[i][j] = value + STEP;
                double above = problem.loss();
                input[i][j] = value - STEP;
                double below = problem.loss();
                input[i][j] = value;
                differences[i][j] = (above - below) / (2 * STEP);
            }
        }
        assertMatrix(differences, gradient, tolerance, tolerance * (1 + Math.abs(problem.loss())), what);
    }

    @Test
    void recomputedHiddenGivesTheSameGradients() {
        TopologyCase test = TopologyCase.distinct("random", 37, 5, 2);
        ExpertProblem problem = problem(test, 33, 20, 7, Activation.of(Function.SILU));
        Map<String, double[][]> saved = run(problem);
        Map<String, double[][]> recomputed = ExpertRun.of(kernels(), problem, exactType(), weightType(), true);
        saved.forEach((name, values) -> assertMatrix(values, recomputed.get(name), pathError(), pathError(), name));
    }

    @Test
    void poisonInOneTokenReachesOnlyItsExperts() {
        TopologyCase test = new TopologyCase(
                "three islands", 5, 2, new int[] {0, 1, 2, 3, 1, 0, 3, 2, 4, 4, 0, 1, 2, 3, 4, -1, 1, 0, 3, 2});
        for (double poison : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            for (int flavour : new int[] {0, 7, 14}) {
                ExpertProblem problem = problem(test, 17, 21, flavour, Activation.of(Function.GELU_TANH));
                Map<String, double[][]> clean = run(problem);
                problem.x()[2][5] = poison; // token 2 goes to experts 1 and 0
                assertIsolated(problem, clean, run(problem), 2, List.of(0, 1));
                problem.x()[2][5] = 1;
                clean = run(problem);
                problem.dY()[6][3] = poison; // token 6 goes to experts 2 and 3
                assertIsolated(problem, clean, run(problem), 6, List.of(2, 3));
                problem.dY()[6][3] = 1;
                clean = run(problem);
                problem.part(WeightPart.DOWN, 4)[7][2] = poison;
                assertIsolated(problem, clean, run(problem), ANY, List.of(4));
            }
        }
    }

    /**
     * Whatever comes neither from the token (or any) nor from the given experts is what it was, bit for bit, and some
     * of the rest is poisoned.
     */
    private static void assertIsolated(
            ExpertProblem problem,
            Map<String, double[][]> clean,
            Map<String, double[][]> dirty,
            int token,
            List<Integer> experts) {
        int k = problem.topK();
        boolean[] poisonedRow = new boolean[problem.topology().rows()];
        boolean[] poisonedToken = new boolean[problem.tokens()];
        for (int slot = 0; slot < problem.ids().length; slot++) {
            if (experts.contains(problem.ids()[slot]) && (token == ANY || token == slot / k)) {
                poisonedRow[problem.topology().rowOfSlot(slot)] = true;
                poisonedToken[slot / k] = true;
            }
        }
        boolean reached = false;
        for (String name : clean.keySet()) {
            double[][] expected = clean.get(name);
            double[][] found = dirty.get(name);
            boolean gradient = name.indexOf(' ') > 0;
            for (int i = 0; i < expected.length; i++) {
                boolean poisoned = gradient
                        ? experts.contains(Integer.valueOf(name.substring(name.indexOf(' ') + 1)))
                        : isRow(name) ? poisonedRow[i] : poisonedToken[i];
                for (int j = 0; j < expected[i].length; j++) {
                    if (!poisoned) {
                        assertEquals(expected[i][j], found[i][j], name + " (" + i + "," + j + ")");
                    }
                    reached |= !Double.isFinite(found[i][j]);
                }
            }
        }
        assertTrue(reached, "the poison reaches some result");
    }

    private static boolean isRow(String name) {
        return List.of("pre", "hidden", "out", "dPre", "dRows").contains(name);
    }

    @Test
    void resultsDoNotDependOnThreads() {
        List<ExpertProblem> problems = threadedProblems();
        List<Map<String, double[][]>> first = new ArrayList<>();
        for (int threads = 1; threads <= 3; threads++) {
            try (Kernels other = open(threads)) {
                for (int i = 0; i < problems.size(); i++) {
                    Map<String, double[][]> results = runAsFloats(other, problems.get(i));
                    if (threads == 1) {
                        first.add(results);
                    } else {
                        assertSameResults(first.get(i), results, threads + " threads");
                    }
                }
            }
        }
    }

    @Test
    void callsFromSeveralThreadsDoNotDisturbEachOther() throws Exception {
        List<ExpertProblem> problems = threadedProblems();
        List<Map<String, double[][]>> alone = new ArrayList<>();
        for (ExpertProblem problem : problems) {
            alone.add(runAsFloats(kernels(), problem));
        }
        try (ExecutorService pool = Executors.newFixedThreadPool(problems.size())) {
            List<Future<?>> pending = new ArrayList<>();
            for (int i = 0; i < problems.size(); i++) {
                int index = i;
                pending.add(pool.submit(() -> {
                    for (int repeat = 0; repeat < 4; repeat++) {
                        Map<String, double[][]> results = runAsFloats(kernels(), problems.get(index));
                        assertSameResults(alone.get(index), results, "thread " + index + " repeat " + repeat);
                    }
                }));
            }
            for (Future<?> future : pending) {
                future.get();
            }
        }
    }

    private List<ExpertProblem> threadedProblems() {
        TopologyCase skewed = TopologyCase.all()
                .filter(test -> test.name().equals("skewed"))
                .findFirst()
                .orElseThrow();
        return List.of(
                problem(skewed, 40, 50, 7, Activation.of(Function.SILU)),
                problem(TopologyCase.distinct("random", 61, 7, 3), 33, 70, 2, Activation.of(Function.GELU_ERF)));
    }

    private Map<String, double[][]> runAsFloats(Kernels kernels, ExpertProblem problem) {
        ElementType type = types().contains(ElementType.F32) ? ElementType.F32 : exactType();
        ElementType weights = weightTypes().contains(ElementType.F32) ? ElementType.F32 : weightType();
        return ExpertRun.of(kernels, problem, type, weights, false);
    }

    private static void assertSameResults(
            Map<String, double[][]> expected, Map<String, double[][]> found, String what) {
        expected.forEach((name, values) -> assertSame(values, found.get(name), what + " " + name));
    }
}
