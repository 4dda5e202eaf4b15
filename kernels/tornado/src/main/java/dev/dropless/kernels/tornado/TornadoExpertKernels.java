package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.kernels.tornado.engine.Tables;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Level 2: checks operands, widens those of 16 bits, and computes with one group for each expert with rows. */
final class TornadoExpertKernels implements ExpertKernels {

    private final Device device;
    private final TornadoMemory memory;
    private final TornadoElementwise elementwise;
    private final ExpertForward forward;
    private final ExpertBackward backward;

    TornadoExpertKernels(Device device, TornadoMemory memory, TornadoElementwise elementwise) {
        this.device = device;
        this.memory = memory;
        this.elementwise = elementwise;
        this.forward = new ExpertForward(device, memory);
        this.backward = new ExpertBackward(device, memory, forward);
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        return new TornadoExpertWeights(memory, elementwise, shape, type);
    }

    @Override
    public ExpertPlan plan(Topology topology) {
        return TornadoExpertPlan.of(device, topology);
    }

    private TornadoExpertPlan own(ExpertPlan plan) {
        return TornadoExpertPlan.own(plan, device);
    }

    private TornadoExpertWeights own(String argument, ExpertWeights weights) {
        return TornadoExpertWeights.own(argument, weights, memory);
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
        ExpertOperands.up(memory.space(), plan.sizes(), x, inputWeights, w.shape(), pre, hidden);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix factor = f.factor(x, w.input());
            forward.up(p, factor, f.inOrNull(inputWeights), f.up(w, x), activation, f.outOrNull(pre), f.out(hidden));
            f.finish();
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertOperands.down(memory.space(), plan.sizes(), hidden, w.shape(), out);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            forward.down(p, f.factor(hidden, w.output()), f.down(w, hidden), f.out(out));
            f.finish();
        }
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        TornadoExpertPlan p = own(plan);
        ExpertOperands.combine(memory.space(), plan.sizes(), out, combineWeights, y);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            forward.sumRows(p, f.in(out), f.inOrNull(combineWeights), f.out(y, accumulate), accumulate);
            f.finish();
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
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertOperands.downDgrad(
                memory.space(),
                plan.sizes(),
                dY,
                combineWeights,
                w.shape(),
                pre,
                hidden,
                recomputeHidden,
                dPre,
                dCombineWeights);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            backward.downDgrad(
                    p,
                    f.factor(dY, w.output()),
                    w.outputBias() == null ? null : f.in(dY),
                    f.inOrNull(combineWeights),
                    f.down(w, dY),
                    activation,
                    f.in(pre),
                    recomputeHidden ? f.out(hidden) : f.in(hidden),
                    recomputeHidden,
                    f.out(dPre),
                    f.outOrNull(dCombineWeights));
            f.finish();
        }
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights g = own("gradients", gradients);
        ExpertOperands.downWgrad(memory.space(), plan.sizes(), hidden, dY, combineWeights, g.shape());
        try (SinglePrecision f = new SinglePrecision(memory)) {
            backward.downWgrad(p, f.in(hidden), f.in(dY), f.inOrNull(combineWeights), f.downGradients(g));
            f.finish();
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights w = own("weights", weights);
        ExpertOperands.upDgrad(memory.space(), plan.sizes(), dPre, w.shape(), dRows);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            backward.upDgrad(p, f.factor(dPre, w.input()), f.up(w, dPre), f.out(dRows));
            f.finish();
        }
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        TornadoExpertPlan p = own(plan);
        TornadoExpertWeights g = own("gradients", gradients);
        ExpertOperands.upWgrad(memory.space(), plan.sizes(), x, inputWeights, dPre, g.shape());
        try (SinglePrecision f = new SinglePrecision(memory)) {
            backward.upWgrad(p, f.in(x), f.inOrNull(inputWeights), f.in(dPre), f.upGradients(g));
            f.finish();
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
        ExpertOperands.aggregate(memory.space(), plan.sizes(), dRows, inputWeights, x, dX, dInputWeights);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix rows = f.in(dRows);
            forward.sumRows(p, rows, f.inOrNull(inputWeights), f.out(dX, accumulate), accumulate);
            if (dInputWeights != null) {
                backward.slotGradient(p, null, f.inOrNull(x), rows, Tables.NONE, f.out(dInputWeights));
            }
            f.finish();
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(memory.space(), gated, pre, hidden);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            forward.activate(activation, gated, f.in(pre), f.out(hidden));
            f.finish();
        }
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(memory.space(), gated, pre, dHidden, dPre);
        try (SinglePrecision f = new SinglePrecision(memory)) {
            backward.activateBackward(activation, gated, f.in(pre), f.in(dHidden), f.out(dPre));
            f.finish();
        }
    }
}
