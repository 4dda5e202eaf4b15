package dev.dropless.benchmarks;

import static dev.dropless.benchmarks.Operation.AGGREGATE;
import static dev.dropless.benchmarks.Operation.COMBINE;
import static dev.dropless.benchmarks.Operation.DOWN;
import static dev.dropless.benchmarks.Operation.DOWN_DGRAD;
import static dev.dropless.benchmarks.Operation.DOWN_WGRAD;
import static dev.dropless.benchmarks.Operation.FORWARD;
import static dev.dropless.benchmarks.Operation.FORWARD_BACKWARD;
import static dev.dropless.benchmarks.Operation.UP;
import static dev.dropless.benchmarks.Operation.UP_DGRAD;
import static dev.dropless.benchmarks.Operation.UP_WGRAD;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** One operation of this library's kernels. Matrices that it does not touch have no rows. */
final class OperationArm implements Arm {

    private final OperationTask task;
    private final Kernels kernels;
    private final ExpertKernels experts;
    private final Activation activation;
    private final Arena arena = Arena.ofShared();
    private final ExpertPlan plan;
    private final List<ExpertWeights> opened = new ArrayList<>();
    private final ExpertWeights weights;
    private final ExpertWeights gradients;
    private final OperationCheck.Operands operands;

    OperationArm(OperationTask task, Kernels kernels) {
        this.task = task;
        this.kernels = kernels;
        experts = kernels.experts();
        LayerTask layer = task.layer();
        activation = layer.layer().activation();
        Topology topology = layer.topology();
        plan = experts.plan(topology);
        List<WeightPart> parts = new ArrayList<>();
        if (is(UP, UP_DGRAD, FORWARD, FORWARD_BACKWARD)) {
            parts.addAll(List.of(WeightPart.GATE, WeightPart.UP));
        }
        if (is(DOWN, DOWN_DGRAD, FORWARD, FORWARD_BACKWARD)) {
            parts.add(WeightPart.DOWN);
        }
        boolean learns = is(DOWN_WGRAD, UP_WGRAD, FORWARD_BACKWARD);
        weights = parts.isEmpty() ? none() : own(PackedWeights.of(experts, layer, parts));
        gradients = learns ? own(experts.allocate(layer.layer().experts(), ElementType.F32)) : none();
        operands = operands(layer, topology.rows());
    }

    private boolean is(Operation... some) {
        return Arrays.asList(some).contains(task.operation());
    }

    /** Weights of the smallest layer, in place of those that an operation does not use. */
    private ExpertWeights none() {
        return own(experts.allocate(new MoeShape("none", 1, 1, 1, 1, false, 1).experts(), ElementType.F32));
    }

    private ExpertWeights own(ExpertWeights made) {
        opened.add(made);
        return made;
    }

    private OperationCheck.Operands operands(LayerTask layer, int rows) {
        int h = layer.layer().hiddenSize();
        int f = layer.layer().ffnHiddenSize();
        int p = layer.layer().experts().preActivations();
        ElementType type = layer.type();
        boolean keeps = task.keepsPreActivations();
        Matrix combine = Matrix.allocate(
                arena, ElementType.F32, layer.tokens(), layer.layer().topK());
        combine.copyFrom(Matrix.of(layer.combineWeights(), combine.rows(), combine.columns()));
        return new OperationCheck.Operands(
                layer.newInput(arena),
                layer.newOutputGradient(arena),
                combine,
                matrix(21, (is(UP) && keeps) || is(DOWN_DGRAD, FORWARD_BACKWARD), type, rows, p),
                matrix(22, is(UP, DOWN, DOWN_DGRAD, DOWN_WGRAD, FORWARD, FORWARD_BACKWARD), type, rows, f),
                matrix(23, is(DOWN_DGRAD, UP_DGRAD, UP_WGRAD), type, rows, p),
                matrix(24, is(DOWN, COMBINE, UP_DGRAD, AGGREGATE, FORWARD, FORWARD_BACKWARD), ElementType.F32, rows, h),
                matrix(25, is(COMBINE, FORWARD, FORWARD_BACKWARD), ElementType.F32, layer.tokens(), h),
                matrix(26, is(AGGREGATE, FORWARD_BACKWARD), ElementType.F32, layer.tokens(), h),
                matrix(
                        27,
                        is(DOWN_DGRAD, FORWARD_BACKWARD),
                        ElementType.F32,
                        layer.tokens(),
                        layer.layer().topK()),
                gradients);
    }

    private Matrix matrix(int seed, boolean used, ElementType type, int rows, int columns) {
        return Values.fill(seed, 1, Matrix.allocate(arena, type, used ? rows : 0, columns));
    }

    @Override
    public Object run() {
        OperationCheck.Operands m = operands;
        switch (task.operation()) {
            case UP -> up(task.keepsPreActivations());
            case DOWN -> down();
            case COMBINE -> combine();
            case DOWN_DGRAD -> downDgrad(m.dPre());
            case DOWN_WGRAD -> downWgrad();
            case UP_DGRAD -> upDgrad(m.dPre());
            case UP_WGRAD -> upWgrad(m.dPre());
            case AGGREGATE -> aggregate();
            case FORWARD -> {
                up(false);
                down();
                combine();
            }
            case FORWARD_BACKWARD -> {
                up(true);
                down();
                combine();
                downDgrad(m.pre());
                downWgrad();
                upWgrad(m.pre());
                upDgrad(m.pre());
                aggregate();
            }
        }
        return m;
    }

    private void up(boolean keep) {
        experts.up(plan, operands.x(), null, weights, activation, keep ? operands.pre() : null, operands.hidden());
    }

    private void down() {
        experts.down(plan, operands.hidden(), weights, operands.rows());
    }

    private void combine() {
        experts.combine(plan, operands.rows(), operands.combineWeights(), operands.y(), false);
    }

    private void downDgrad(Matrix dPre) {
        experts.downDgrad(
                plan,
                operands.dY(),
                operands.combineWeights(),
                weights,
                activation,
                operands.pre(),
                operands.hidden(),
                true,
                dPre,
                operands.dCombineWeights());
    }

    private void downWgrad() {
        experts.downWgrad(plan, operands.hidden(), operands.dY(), operands.combineWeights(), gradients);
    }

    private void upDgrad(Matrix dPre) {
        experts.upDgrad(plan, dPre, weights, operands.rows());
    }

    private void upWgrad(Matrix dPre) {
        experts.upWgrad(plan, operands.x(), null, dPre, gradients);
    }

    private void aggregate() {
        experts.aggregate(plan, operands.rows(), null, null, operands.dX(), false, null);
    }

    /** Results are poisoned before the run; gradients, which accumulate, are those of one run. */
    @Override
    public double check() {
        OperationCheck.Operands m = operands;
        List<Matrix> results = switch (task.operation()) {
            case UP -> List.of(m.pre(), m.hidden());
            case DOWN, UP_DGRAD -> List.of(m.rows());
            case COMBINE -> List.of(m.y());
            case DOWN_DGRAD -> List.of(m.hidden(), m.dPre(), m.dCombineWeights());
            case DOWN_WGRAD, UP_WGRAD -> List.of();
            case AGGREGATE -> List.of(m.dX());
            case FORWARD, FORWARD_BACKWARD ->
                List.of(m.hidden(), m.rows(), m.pre(), m.y(), m.dX(), m.dCombineWeights());
        };
        results.forEach(matrix -> matrix.fill(Double.NaN));
        gradients.zero();
        run();
        return OperationCheck.check(task, operands);
    }

    @Override
    public String description() {
        return "dropless " + kernels.description();
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        opened.forEach(ExpertWeights::close);
        plan.close();
        kernels.close();
        arena.close();
    }
}
