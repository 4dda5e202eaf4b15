package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.List;

/** A product as the layer computes it: packed weights, gather inside. */
final class FusedArm implements Arm {

    private static final Activation RELU = Activation.of(Activation.Function.RELU);

    private final ProductTask task;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final ExpertPlan plan;
    /** Tokens, where the operation gathers. */
    private final Matrix x;

    private final Matrix hidden;
    private final Matrix out;
    private final ExpertWeights weights;

    FusedArm(ProductTask task, Kernels kernels) {
        this.task = task;
        this.kernels = kernels;
        LayerTask layer = task.layer();
        Topology topology = layer.topology();
        plan = kernels.experts().plan(topology);
        x = layer.newInput(arena);
        hidden = task.newHidden(arena);
        out = Matrix.allocate(
                arena, ElementType.F32, topology.rows(), layer.layer().hiddenSize());
        weights = switch (task.product()) {
            case SDD -> PackedWeights.of(kernels.experts(), layer, List.of(WeightPart.GATE));
            case DSD -> PackedWeights.of(kernels.experts(), layer, List.of(WeightPart.DOWN));
            case DDS -> kernels.experts().allocate(layer.layer().experts(), ElementType.F32);
        };
    }

    @Override
    public Object run() {
        switch (task.product()) {
            case SDD -> kernels.experts().up(plan, x, null, weights, RELU, null, hidden);
            case DSD -> kernels.experts().down(plan, hidden, weights, out);
            case DDS -> kernels.experts().upWgrad(plan, x, null, hidden, weights);
        }
        return out;
    }

    @Override
    public double check() {
        switch (task.product()) {
            case SDD -> hidden.fill(Double.NaN);
            case DSD -> out.fill(Double.NaN);
            case DDS -> weights.zero();
        }
        run();
        return switch (task.product()) {
            case SDD -> ProductCheck.check(task, a -> Math.max(a, 0), (_, row, column) -> hidden.get(row, column));
            case DSD -> ProductCheck.check(task, a -> a, (_, row, column) -> out.get(row, column));
            case DDS -> gradientCheck();
        };
    }

    /** The column that the check asks for is exported once. */
    private double gradientCheck() {
        int expert = OperationCheck.busiest(task.layer().topology());
        int f = task.layer().layer().ffnHiddenSize() / 2;
        double[] column = LayerCheck.exported(weights, WeightPart.GATE, expert, f);
        return ProductCheck.check(task, a -> a, (_, row, _) -> column[row]);
    }

    @Override
    public String description() {
        return "dropless " + kernels.description() + ", fused, weights packed before";
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        weights.close();
        plan.close();
        kernels.close();
        arena.close();
    }
}
