package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The whole expert path, forward and backward, on one back end, in memory of its own. */
final class ExpertRun {

    private ExpertRun() {}

    /**
     * Computes everything.
     *
     * @return pre, hidden, out, y, dCombineWeights, dPre, dRows, dX, dInputWeights, and the gradients of all parts as
     * "GATE 0" and so on
     */
    static Map<String, double[][]> of(
            Kernels kernels, ExpertProblem problem, ElementType type, ElementType weightType, boolean recomputeHidden) {
        ExpertKernels experts = kernels.experts();
        Topology topology = problem.topology();
        ExpertShape shape = problem.shape();
        int n = topology.rows();
        int h = shape.hiddenSize();
        int k = problem.topK();
        Map<String, double[][]> results = new LinkedHashMap<>();
        try (KernelMemory.Scope scope = kernels.memory().open();
                ExpertPlan plan = experts.plan(topology);
                ExpertWeights weights = load(experts, problem, weightType);
                ExpertWeights gradients = experts.allocate(shape, weightType)) {
            Memory memory = new Memory(kernels.memory(), scope, type);
            Operand x = memory.input(problem.x(), h);
            Operand dY = memory.input(problem.dY(), h);
            Matrix v = memory.optional(problem.inputWeights(), k);
            Matrix w = memory.optional(problem.combineWeights(), k);
            Operand pre = memory.output(n, shape.preActivations());
            Operand hidden = memory.output(n, shape.ffnHiddenSize());
            Operand out = memory.output(n, h);
            Operand y = memory.output(problem.tokens(), h);
            experts.up(plan, x.matrix(), v, weights, problem.activation(), pre.matrix(), hidden.matrix());
            experts.down(plan, hidden.matrix(), weights, out.matrix());
            experts.combine(plan, out.matrix(), w, y.matrix(), false);
            results.put("pre", pre.read());
            results.put("hidden", hidden.read());
            results.put("out", out.read());
            results.put("y", y.read());

            Operand dPre = memory.output(n, shape.preActivations());
            Operand dCombineWeights = memory.output(problem.tokens(), k);
            Operand dRows = memory.output(n, h);
            Operand dX = memory.output(problem.tokens(), h);
            Operand dInputWeights = memory.output(problem.tokens(), k);
            if (recomputeHidden) {
                hidden.fill(() -> Double.NaN);
            }
            experts.downDgrad(
                    plan,
                    dY.matrix(),
                    w,
                    weights,
                    problem.activation(),
                    pre.matrix(),
                    hidden.matrix(),
                    recomputeHidden,
                    dPre.matrix(),
                    dCombineWeights.matrix());
            experts.downWgrad(plan, hidden.matrix(), dY.matrix(), w, gradients);
            experts.upDgrad(plan, dPre.matrix(), weights, dRows.matrix());
            experts.upWgrad(plan, x.matrix(), v, dPre.matrix(), gradients);
            experts.aggregate(plan, dRows.matrix(), v, x.matrix(), dX.matrix(), false, dInputWeights.matrix());
            results.put("dPre", dPre.read());
            results.put("dCombineWeights", dCombineWeights.read());
            results.put("dRows", dRows.read());
            results.put("dX", dX.read());
            results.put("dInputWeights", dInputWeights.read());
            for (WeightPart part : WeightPart.values()) {
                for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                    results.put(part + " " + e, store(gradients, part, e));
                }
            }
        }
        return results;
    }

    /** Allocates and loads the weights of a problem. */
    static ExpertWeights load(ExpertKernels experts, ExpertProblem problem, ElementType type) {
        ExpertWeights weights = experts.allocate(problem.shape(), type);
        problem.weights().forEach((part, values) -> {
            for (int e = 0; e < values.length; e++) {
                weights.load(part, e, host(values[e], problem.shape().columns(part)), Transpose.N);
            }
        });
        return weights;
    }

    /** One part of one expert in double precision. */
    static double[][] store(ExpertWeights weights, WeightPart part, int expert) {
        ExpertShape shape = weights.shape();
        double[][] values = new double[shape.rows(part)][shape.columns(part)];
        Matrix target = host(values, shape.columns(part));
        weights.store(part, expert, target, Transpose.N);
        for (int i = 0; i < values.length; i++) {
            for (int j = 0; j < values[i].length; j++) {
                values[i][j] = target.get(i, j);
            }
        }
        return values;
    }

    static Matrix host(double[][] values, int columns) {
        Matrix matrix = Matrix.of(new double[values.length * columns], values.length, columns);
        for (int i = 0; i < values.length; i++) {
            for (int j = 0; j < columns; j++) {
                matrix.set(i, j, values[i][j]);
            }
        }
        return matrix;
    }

    private record Memory(KernelMemory memory, KernelMemory.Scope scope, ElementType type) {

        Operand input(double[][] values, int columns) {
            int[] next = {0};
            return new Operand(memory, scope, type, values.length, columns, false, () -> {
                int i = next[0]++;
                return values[i / columns][i % columns];
            });
        }

        @Nullable
        Matrix optional(double @Nullable [][] values, int columns) {
            return values == null ? null : input(values, columns).matrix();
        }

        Operand output(int rows, int columns) {
            return new Operand(memory, scope, type, rows, columns, false, () -> Double.NaN);
        }
    }
}
