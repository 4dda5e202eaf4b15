package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/** Level 2: checks operands, then fills in the descriptions of an {@link ExpertCall} and has them computed. */
final class CpuExpertKernels implements ExpertKernels {

    private static final MemorySpace SPACE = MemorySpace.HOST;

    private record Plan(Topology topology) implements ExpertPlan {
        @Override
        public void close() {}
    }

    private final ProductRunner runner;
    private final TileKernels kernels;
    private final Pool<ExpertCall> calls;
    /** Of the last call: a layer has one activation for all calls. */
    private volatile @Nullable FloatActivation recent;

    CpuExpertKernels(ProductRunner runner) {
        this.runner = runner;
        this.kernels = runner.kernels();
        this.calls = new Pool<>(pool -> new ExpertCall(runner, pool));
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        return allocate(shape, type, Format.of(type));
    }

    @Override
    public ExpertWeights allocateInt8(ExpertShape shape) {
        return allocate(shape, ElementType.F32, Format.INT8);
    }

    private FloatActivation constants(Activation activation) {
        FloatActivation last = recent;
        if (last == null || !last.source().equals(activation)) {
            last = FloatActivation.of(activation);
            recent = last;
        }
        return last;
    }

    private ExpertWeights allocate(ExpertShape shape, ElementType type, Format projections) {
        Arena arena = Arena.ofShared();
        try {
            return new CpuExpertWeights(shape, type, projections, arena, kernels.weights(arena));
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /** Tiles depend on the product as much as on the topology, and are cheap to list: a plan holds nothing else. */
    @Override
    public ExpertPlan plan(Topology topology) {
        return new Plan(topology);
    }

    @Override
    public void up(
            ExpertPlan plan,
            Matrix x,
            @Nullable Matrix inputWeights,
            ExpertWeights weights,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.up(SPACE, topology, x, inputWeights, own.shape(), pre, hidden);
        try (ExpertCall call = calls.take()) {
            runner.run(call.up.set(topology, x, inputWeights, own, constants(activation), pre, hidden));
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.down(SPACE, topology, hidden, own.shape(), out);
        try (ExpertCall call = calls.take()) {
            runner.run(call.down.set(topology, hidden, own, out));
        }
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        Topology topology = plan.topology();
        ExpertOperands.combine(SPACE, topology, out, combineWeights, y);
        try (ExpertCall call = calls.take()) {
            call.rowSums.set(topology, out, combineWeights, y, accumulate).run();
        }
    }

    @Override
    public void downDgrad(
            ExpertPlan plan,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertWeights weights,
            Activation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.trainable("weights", weights);
        ExpertOperands.downDgrad(
                SPACE, topology, dY, combineWeights, own.shape(), pre, hidden, recomputeHidden, dPre, dCombineWeights);
        int panels = Math.ceilDiv(own.shape().ffnHiddenSize(), TileKernels.PANEL);
        int count = dCombineWeights == null ? 0 : Math.multiplyExact(topology.rows(), panels);
        Scratch scratch = runner.scratches().take();
        try (ExpertCall call = calls.take()) {
            scratch.products(count);
            Storage dots = count == 0 ? Nothing.STORAGE : scratch.productsStorage();
            runner.run(call.downDgrad.set(
                    topology,
                    dY,
                    combineWeights,
                    own,
                    constants(activation),
                    pre,
                    hidden,
                    recomputeHidden,
                    dPre,
                    dots));
            if (dCombineWeights != null) {
                Storage bias = own.bias(WeightPart.DOWN_BIAS);
                call.combineWeightGradients
                        .set(topology, dots, panels, bias, dY, dCombineWeights)
                        .run();
            }
        } finally {
            runner.scratches().give(scratch);
        }
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("gradients", gradients);
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.downWgrad(SPACE, topology, hidden, dY, combineWeights, own.shape());
        try (ExpertCall call = calls.take()) {
            runner.run(call.wgrad.down(topology, hidden, dY, combineWeights, own.down()));
            int h = own.shape().hiddenSize();
            call.biasGradients.of(topology, dY, true, combineWeights).add(0, h, own.bias(WeightPart.DOWN_BIAS));
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.trainable("weights", weights);
        ExpertOperands.upDgrad(SPACE, topology, dPre, own.shape(), dRows);
        try (ExpertCall call = calls.take()) {
            runner.run(call.upDgrad.set(topology, dPre, own, dRows));
        }
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("gradients", gradients);
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.upWgrad(SPACE, topology, x, inputWeights, dPre, own.shape());
        try (ExpertCall call = calls.take()) {
            runner.run(call.wgrad.up(topology, x, inputWeights, dPre, own.up()));
            int f = own.shape().ffnHiddenSize();
            BiasGradients biases = call.biasGradients.of(topology, dPre, false, null);
            biases.add(0, f, own.bias(WeightPart.GATE_BIAS));
            biases.add(f, f, own.bias(WeightPart.UP_BIAS));
        }
    }

    @Override
    public void aggregate(
            ExpertPlan plan,
            Matrix dRows,
            @Nullable Matrix inputWeights,
            @Nullable Matrix x,
            Matrix dX,
            boolean accumulate,
            @Nullable Matrix dInputWeights) {
        Topology topology = plan.topology();
        ExpertOperands.aggregate(SPACE, topology, dRows, inputWeights, x, dX, dInputWeights);
        try (ExpertCall call = calls.take()) {
            call.rowSums.set(topology, dRows, inputWeights, dX, accumulate).run();
            if (x != null && dInputWeights != null) {
                call.inputWeightGradients.set(topology, x, dRows, dInputWeights).run();
            }
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(SPACE, gated, pre, hidden);
        try (ExpertCall call = calls.take()) {
            call.activations.forward(constants(activation), gated, pre, hidden).run();
        }
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(SPACE, gated, pre, dHidden, dPre);
        try (ExpertCall call = calls.take()) {
            call.activations
                    .backward(constants(activation), gated, pre, dHidden, dPre)
                    .run();
        }
    }
}
