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

/** Level 2: checks operands, then hands {@link Product}s to the {@link ProductRunner} and sums over tokens to {@link TokenSums}. */
final class CpuExpertKernels implements ExpertKernels {

    private static final MemorySpace SPACE = MemorySpace.HOST;
    private static final Storage NO_DOTS = Storage.of(new float[0]);

    private record Plan(Topology topology) implements ExpertPlan {
        @Override
        public void close() {}
    }

    private final ProductRunner runner;
    private final TileKernels kernels;
    private final TokenSums sums;
    private final Activations activations;
    /** Of the last call: a layer has one activation for all calls. */
    private volatile @Nullable FloatActivation recent;

    CpuExpertKernels(ProductRunner runner) {
        this.runner = runner;
        this.kernels = runner.kernels();
        this.sums = new TokenSums(runner);
        this.activations = new Activations(runner);
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
        SlotWeights v = new SlotWeights(topology, inputWeights);
        runner.run(new UpProduct(kernels, topology, x, v, own, constants(activation), pre, hidden));
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.down(SPACE, topology, hidden, own.shape(), out);
        runner.run(new DownProduct(kernels, topology, hidden, own, out));
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        ExpertOperands.combine(SPACE, plan.topology(), out, combineWeights, y);
        sums.rows(out, new SlotWeights(plan.topology(), combineWeights), y, accumulate);
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
        scratch.products(count);
        Storage dots = count == 0 ? NO_DOTS : scratch.productsStorage();
        SlotWeights w = new SlotWeights(topology, combineWeights);
        runner.run(new DownDgradProduct(
                kernels,
                topology,
                own,
                constants(activation),
                new DownDgradProduct.Operands(dY, w, pre, hidden, recomputeHidden, dPre, dots)));
        if (dCombineWeights != null) {
            sums.combineWeightGradients(
                    topology, dots.array(), panels, own.bias(WeightPart.DOWN_BIAS), dY, dCombineWeights);
        }
        runner.scratches().give(scratch);
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("gradients", gradients);
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.downWgrad(SPACE, topology, hidden, dY, combineWeights, own.shape());
        SlotWeights w = new SlotWeights(topology, combineWeights);
        SlotWeights ones = new SlotWeights(topology, null);
        WgradProduct.Side inputs = new WgradProduct.Side(topology, hidden, false, w);
        WgradProduct.Side outputs = new WgradProduct.Side(topology, dY, true, ones);
        runner.run(new WgradProduct(kernels, topology, inputs, outputs, own.down()));
        sums.biasGradients(
                topology,
                new WgradProduct.Side(topology, dY, true, w),
                0,
                own.bias(WeightPart.DOWN_BIAS),
                own.shape().hiddenSize());
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("weights", weights);
        ExpertOperands.trainable("weights", weights);
        ExpertOperands.upDgrad(SPACE, topology, dPre, own.shape(), dRows);
        runner.run(new UpDgradProduct(kernels, topology, dPre, own, dRows));
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        Topology topology = plan.topology();
        CpuExpertWeights own = CpuExpertWeights.own("gradients", gradients);
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.upWgrad(SPACE, topology, x, inputWeights, dPre, own.shape());
        WgradProduct.Side inputs = new WgradProduct.Side(topology, x, true, new SlotWeights(topology, inputWeights));
        WgradProduct.Side outputs = new WgradProduct.Side(topology, dPre, false, new SlotWeights(topology, null));
        runner.run(new WgradProduct(kernels, topology, inputs, outputs, own.up()));
        int f = own.shape().ffnHiddenSize();
        sums.biasGradients(topology, outputs, 0, own.bias(WeightPart.GATE_BIAS), f);
        sums.biasGradients(topology, outputs, f, own.bias(WeightPart.UP_BIAS), f);
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
        sums.rows(dRows, new SlotWeights(topology, inputWeights), dX, accumulate);
        if (x != null && dInputWeights != null) {
            sums.inputWeightGradients(topology, x, dRows, dInputWeights);
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(SPACE, gated, pre, hidden);
        activations.forward(constants(activation), gated, pre, hidden);
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(SPACE, gated, pre, dHidden, dPre);
        activations.backward(constants(activation), gated, pre, dHidden, dPre);
    }
}
