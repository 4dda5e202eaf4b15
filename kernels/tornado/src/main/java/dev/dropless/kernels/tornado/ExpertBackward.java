package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.base;
import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rowStride;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.kernels.tornado.engine.Tables;
import dev.dropless.topology.TopologySizes;
import org.jspecify.annotations.Nullable;

/** The backward products of level 2 in single precision; operands were checked. */
final class ExpertBackward {

    private final Device device;
    private final TornadoMemory memory;
    private final ExpertForward forward;

    ExpertBackward(Device device, TornadoMemory memory, ExpertForward forward) {
        this.device = device;
        this.memory = memory;
        this.forward = forward;
    }

    /** Backward of combine, down-projection and activation, as far as the data goes; dY in F32 is for the gradient of the bias. */
    void downDgrad(
            TornadoExpertPlan p,
            Matrix dY,
            @Nullable Matrix wideDy,
            @Nullable Matrix combineWeights,
            Projections w,
            Activation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights) {
        ExpertShape shape = w.shape();
        TopologySizes topology = p.sizes();
        try (TornadoMemory.DeviceScope scratch = memory.open()) {
            Matrix g = scratch.allocate(ElementType.F32, topology.rows(), shape.ffnHiddenSize());
            hiddenGradient(p, dY, w, g);
            int scale = forward.rowWeights(p, combineWeights, scratch);
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
                slotGradient(p, g, wideDy, bias, p.expertOfRow(), dCombineWeights);
            }
        }
    }

    /** g[r] = dY[t] Down_e^T. */
    private void hiddenGradient(TornadoExpertPlan plan, Matrix dY, Projections weights, Matrix g) {
        TopologySizes topology = plan.sizes();
        int h = weights.shape().hiddenSize();
        int f = weights.shape().ffnHiddenSize();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = plan.firstRow(e);
            int map = plan.tokenOfRow() + first;
            if (table.group(plan.tokensPerExpert(e), f, base(g) + first * f, f, 1, Tables.NONE, map, Tables.NONE)) {
                table.segment(base(dY), rowStride(dY), 1, base(weights.output()) + e * f * h, 1, h, h);
            }
        }
        table.product(device, dY.type(), false);
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
    void slotGradient(
            TornadoExpertPlan plan,
            @Nullable Matrix part,
            @Nullable Matrix left,
            @Nullable Matrix right,
            int rowsOfRight,
            Matrix result) {
        TopologySizes topology = plan.sizes();
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

    /** Weight gradient of the down-projection. */
    void downWgrad(TornadoExpertPlan p, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, Projections g) {
        TopologySizes topology = p.sizes();
        int f = g.shape().ffnHiddenSize();
        int h = g.shape().hiddenSize();
        try (TornadoMemory.DeviceScope scratch = memory.open()) {
            int scale = forward.rowWeights(p, combineWeights, scratch);
            GroupTable table = new GroupTable();
            for (int e = 0; e < topology.numExperts(); e++) {
                int first = p.firstRow(e);
                int count = p.tokensPerExpert(e);
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
                            ExpertForward.behind(scale, first));
                }
            }
            table.outer(device);
            biasGradient(p, dY, p.tokenOfRow(), scale, g.outputBias());
        }
    }

    /** Data gradient of the up-projection. */
    void upDgrad(TornadoExpertPlan p, Matrix dPre, Projections w, Matrix dRows) {
        TopologySizes topology = p.sizes();
        int h = w.shape().hiddenSize();
        int inputColumns = w.shape().preActivations();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = p.firstRow(e);
            int target = base(dRows) + first * rowStride(dRows);
            if (table.group(p.tokensPerExpert(e), h, target, rowStride(dRows), 1)) {
                int source = base(dPre) + first * rowStride(dPre);
                int weight = base(w.input()) + e * h * inputColumns;
                table.segment(source, rowStride(dPre), 1, weight, 1, inputColumns, inputColumns);
            }
        }
        table.product(device, dPre.type(), false);
    }

    /** Weight gradient of the up-projection. */
    void upWgrad(TornadoExpertPlan p, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, Projections g) {
        TopologySizes topology = p.sizes();
        int h = g.shape().hiddenSize();
        int inputColumns = g.shape().preActivations();
        try (TornadoMemory.DeviceScope scratch = memory.open()) {
            int scale = forward.rowWeights(p, inputWeights, scratch);
            GroupTable table = new GroupTable();
            for (int e = 0; e < topology.numExperts(); e++) {
                int first = p.firstRow(e);
                int count = p.tokensPerExpert(e);
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
                            ExpertForward.behind(scale, first));
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

    /** Backward of the activation alone. */
    void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        device.launch(
                Kernel.ACTIVATION_GRADIENT,
                gradientArguments(activation, gated, pre, dHidden, dPre).add(Tables.NONE, Tables.NONE, 0, 0, 0),
                columns(dHidden),
                rows(dHidden));
    }
}
