package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.base;
import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rowStride;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.kernels.tornado.engine.Tables;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Level 2: one group for each expert with rows, and elementwise kernels beside the products. */
final class TornadoExpertKernels implements ExpertKernels {

    private final Device device;
    private final TornadoMemory memory;
    private final TornadoElementwise elementwise;

    TornadoExpertKernels(Device device, TornadoMemory memory, TornadoElementwise elementwise) {
        this.device = device;
        this.memory = memory;
        this.elementwise = elementwise;
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        return new TornadoExpertWeights(memory, elementwise, shape, type);
    }

    @Override
    public ExpertPlan plan(Topology topology) {
        return new TornadoExpertPlan(device, topology);
    }

    private TornadoExpertPlan own(ExpertPlan plan) {
        return TornadoExpertPlan.own(plan, device);
    }

    private TornadoExpertWeights own(String argument, ExpertWeights weights) {
        return TornadoExpertWeights.own(argument, weights, memory);
    }

    /** Where the rows' weights begin, gathered from those of the slots; NONE where there are none. */
    private int rowWeights(TornadoExpertPlan plan, @Nullable Matrix weights, TornadoMemory.FloatScope scratch) {
        int count = plan.topology().rows();
        if (weights == null || count == 0) {
            return Tables.NONE;
        }
        int target = base(scratch.allocate(ElementType.F32, 1, count));
        device.launch(
                Kernel.GATHER_SLOTS,
                new Arguments()
                        .add(1, count, plan.slotOfRow(), plan.topology().topK())
                        .matrix(weights)
                        .add(target),
                count,
                1);
        return target;
    }

    /** An offset into something that may not be there. */
    private static int behind(int start, int distance) {
        return start == Tables.NONE ? Tables.NONE : start + distance;
    }

    private static int bias(@Nullable Matrix bias, int expert) {
        return bias == null ? Tables.NONE : base(bias) + expert * columns(bias);
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
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        Topology topology = plan.topology();
        ExpertOperands.up(memory.space(), topology, x, inputWeights, shape, pre, hidden);
        try (TornadoMemory.FloatScope scratch = memory.open()) {
            int scale = rowWeights(p, inputWeights, scratch);
            int h = shape.hiddenSize();
            int inputColumns = shape.preActivations();
            GroupTable table = new GroupTable();
            for (int e = 0; e < topology.numExperts(); e++) {
                int first = topology.offset(e);
                int count = topology.tokensPerExpert(e);
                int map = p.tokenOfRow() + first;
                if (table.group(
                        count, shape.ffnHiddenSize(), 0, 0, 0, bias(w.inputBias(), e), map, behind(scale, first))) {
                    table.segment(base(x), rowStride(x), 1, base(w.input()) + e * h * inputColumns, inputColumns, 1, h);
                }
            }
            table.up(
                    device,
                    new Arguments()
                            .add(0, shape.gated() ? shape.ffnHiddenSize() : 0)
                            .matrix(pre)
                            .matrix(hidden)
                            .add(activation.function().ordinal())
                            .activation(activation));
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        Topology topology = plan.topology();
        ExpertOperands.down(memory.space(), topology, hidden, shape, out);
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = topology.offset(e);
            int target = base(out) + first * rowStride(out);
            if (table.group(
                    topology.tokensPerExpert(e),
                    h,
                    target,
                    rowStride(out),
                    1,
                    bias(w.outputBias(), e),
                    Tables.NONE,
                    Tables.NONE)) {
                int source = base(hidden) + first * rowStride(hidden);
                table.segment(source, rowStride(hidden), 1, base(w.output()) + e * f * h, h, 1, f);
            }
        }
        table.product(device, false);
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        TornadoExpertPlan p = own(plan);
        ExpertOperands.combine(memory.space(), plan.topology(), out, combineWeights, y);
        sumRows(p, out, combineWeights, y, accumulate);
    }

    /** Adds up every token's rows. */
    private void sumRows(TornadoExpertPlan plan, Matrix rows, @Nullable Matrix weights, Matrix y, boolean accumulate) {
        device.launch(
                Kernel.COMBINE,
                new Arguments()
                        .add(rows(y), columns(y), plan.topology().topK(), plan.rowOfSlot())
                        .matrix(rows)
                        .matrix(weights)
                        .matrix(y)
                        .flag(accumulate),
                columns(y),
                rows(y));
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
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        Topology topology = plan.topology();
        ExpertOperands.downDgrad(
                memory.space(),
                topology,
                dY,
                combineWeights,
                shape,
                pre,
                hidden,
                recomputeHidden,
                dPre,
                dCombineWeights);
        try (TornadoMemory.FloatScope scratch = memory.open()) {
            Matrix g = scratch.allocate(ElementType.F32, topology.rows(), shape.ffnHiddenSize());
            hiddenGradient(p, dY, w, g);
            int scale = rowWeights(p, combineWeights, scratch);
            boolean wantsWeights = dCombineWeights != null;
            device.launch(
                    Kernel.ACTIVATION_GRADIENT,
                    gradientArguments(activation, shape.gated(), pre, g, dPre)
                            .add(scale)
                            .matrix(hidden)
                            .flag(recomputeHidden)
                            .flag(wantsWeights),
                    shape.ffnHiddenSize(),
                    topology.rows());
            if (dCombineWeights != null) {
                Matrix bias = w.outputBias();
                slotGradient(p, g, bias == null ? null : dY, bias, p.expertOfRow(), dCombineWeights);
            }
        }
    }

    /** g[r] = dY[t] Down_e^T. */
    private void hiddenGradient(TornadoExpertPlan plan, Matrix dY, TornadoExpertWeights weights, Matrix g) {
        Topology topology = plan.topology();
        int h = weights.shape().hiddenSize();
        int f = weights.shape().ffnHiddenSize();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = topology.offset(e);
            int map = plan.tokenOfRow() + first;
            if (table.group(topology.tokensPerExpert(e), f, base(g) + first * f, f, 1, Tables.NONE, map, Tables.NONE)) {
                table.segment(base(dY), rowStride(dY), 1, base(weights.output()) + e * f * h, 1, h, h);
            }
        }
        table.product(device, false);
    }

    /** What the kernel that differentiates the activation always takes; what it may take follows. */
    private static Arguments gradientArguments(
            Activation activation, boolean gated, Matrix pre, Matrix gradient, Matrix dPre) {
        int columns = columns(gradient);
        return new Arguments()
                .add(rows(gradient), columns)
                .matrix(pre)
                .matrix(gradient)
                .matrix(dPre)
                .add(gated ? columns : 0, activation.function().ordinal())
                .activation(activation);
    }

    /** result[s] = sum of its row of part, plus left[token] right[row or expert]. */
    private void slotGradient(
            TornadoExpertPlan plan,
            @Nullable Matrix part,
            @Nullable Matrix left,
            @Nullable Matrix right,
            int rowsOfRight,
            Matrix result) {
        Topology topology = plan.topology();
        device.launch(
                Kernel.SLOT_GRADIENT,
                new Arguments()
                        .add(1, topology.slots(), topology.topK(), plan.rowOfSlot())
                        .matrix(part)
                        .add(part == null ? 0 : columns(part))
                        .matrix(left)
                        .add(left == null ? 0 : columns(left))
                        .matrix(right)
                        .add(rowsOfRight)
                        .matrix(result),
                topology.slots(),
                1);
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights g = own("gradients", gradients);
        Topology topology = plan.topology();
        ExpertOperands.downWgrad(memory.space(), topology, hidden, dY, combineWeights, g.shape());
        int f = g.shape().ffnHiddenSize();
        int h = g.shape().hiddenSize();
        try (TornadoMemory.FloatScope scratch = memory.open()) {
            int scale = rowWeights(p, combineWeights, scratch);
            GroupTable table = new GroupTable();
            for (int e = 0; e < topology.numExperts(); e++) {
                int first = topology.offset(e);
                int count = topology.tokensPerExpert(e);
                if (count > 0 && table.group(f, h, base(g.output()) + e * f * h, h, 1)) {
                    int source = base(hidden) + first * rowStride(hidden);
                    int map = p.tokenOfRow() + first;
                    table.segment(
                            source,
                            1,
                            rowStride(hidden),
                            base(dY),
                            rowStride(dY),
                            1,
                            count,
                            Tables.NONE,
                            map,
                            behind(scale, first));
                }
            }
            table.outer(device);
            biasGradient(p, dY, p.tokenOfRow(), scale, g.outputBias());
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        own(plan);
        TornadoExpertWeights w = own("weights", weights);
        Topology topology = plan.topology();
        ExpertOperands.upDgrad(memory.space(), topology, dPre, w.shape(), dRows);
        int h = w.shape().hiddenSize();
        int inputColumns = w.shape().preActivations();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = topology.offset(e);
            int target = base(dRows) + first * rowStride(dRows);
            if (table.group(topology.tokensPerExpert(e), h, target, rowStride(dRows), 1)) {
                int source = base(dPre) + first * rowStride(dPre);
                int weight = base(w.input()) + e * h * inputColumns;
                table.segment(source, rowStride(dPre), 1, weight, 1, inputColumns, inputColumns);
            }
        }
        table.product(device, false);
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights g = own("gradients", gradients);
        Topology topology = plan.topology();
        ExpertOperands.upWgrad(memory.space(), topology, x, inputWeights, dPre, g.shape());
        int h = g.shape().hiddenSize();
        int inputColumns = g.shape().preActivations();
        try (TornadoMemory.FloatScope scratch = memory.open()) {
            int scale = rowWeights(p, inputWeights, scratch);
            GroupTable table = new GroupTable();
            for (int e = 0; e < topology.numExperts(); e++) {
                int first = topology.offset(e);
                int count = topology.tokensPerExpert(e);
                int target = base(g.input()) + e * h * inputColumns;
                if (count > 0 && table.group(h, inputColumns, target, inputColumns, 1)) {
                    int source = base(dPre) + first * rowStride(dPre);
                    int map = p.tokenOfRow() + first;
                    table.segment(
                            base(x),
                            1,
                            rowStride(x),
                            source,
                            rowStride(dPre),
                            1,
                            count,
                            map,
                            Tables.NONE,
                            behind(scale, first));
                }
            }
            table.outer(device);
            biasGradient(p, dPre, Tables.NONE, Tables.NONE, g.inputBias());
        }
    }

    private void biasGradient(TornadoExpertPlan plan, Matrix source, int map, int scale, @Nullable Matrix gradient) {
        if (gradient != null) {
            device.launch(
                    Kernel.BIAS_GRADIENT,
                    new Arguments()
                            .add(rows(gradient), columns(gradient), plan.offsets())
                            .matrix(source)
                            .add(map, scale, base(gradient)),
                    columns(gradient),
                    rows(gradient));
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
        TornadoExpertPlan p = own(plan);
        ExpertOperands.aggregate(memory.space(), plan.topology(), dRows, inputWeights, x, dX, dInputWeights);
        sumRows(p, dRows, inputWeights, dX, accumulate);
        if (dInputWeights != null) {
            slotGradient(p, null, x, dRows, Tables.NONE, dInputWeights);
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(memory.space(), gated, pre, hidden);
        device.launch(
                Kernel.ACTIVATE,
                new Arguments()
                        .add(rows(hidden), columns(hidden))
                        .matrix(pre)
                        .matrix(hidden)
                        .add(gated ? columns(hidden) : 0, activation.function().ordinal())
                        .activation(activation),
                columns(hidden),
                rows(hidden));
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(memory.space(), gated, pre, dHidden, dPre);
        device.launch(
                Kernel.ACTIVATION_GRADIENT,
                gradientArguments(activation, gated, pre, dHidden, dPre).add(Tables.NONE, Tables.NONE, 0, 0, 0),
                columns(dHidden),
                rows(dHidden));
    }
}
