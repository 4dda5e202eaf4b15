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

/** The forward products of level 2 in single precision; operands were checked. */
final class ExpertForward {

    private final Device device;
    private final TornadoMemory memory;

    ExpertForward(Device device, TornadoMemory memory) {
        this.device = device;
        this.memory = memory;
    }

    /** Where the rows' weights begin, gathered from those of the slots; NONE where there are none. */
    int rowWeights(TornadoExpertPlan plan, @Nullable Matrix weights, TornadoMemory.DeviceScope scratch) {
        int count = plan.sizes().rows();
        if (weights == null || count == 0) {
            return Tables.NONE;
        }
        int target = base(scratch.allocate(ElementType.F32, 1, count));
        device.launch(
                Kernel.GATHER_SLOTS,
                new Arguments()
                        .add(1, count, plan.slotOfRow(), plan.sizes().topK())
                        .matrix(weights)
                        .add(target),
                count,
                1);
        return target;
    }

    /** An offset into something that may not be there. */
    static int behind(int start, int distance) {
        return start == Tables.NONE ? Tables.NONE : start + distance;
    }

    private static int bias(@Nullable Matrix bias, int expert) {
        return bias == null ? Tables.NONE : base(bias) + expert * columns(bias);
    }

    /** Gather, up-projection, activation; factors in 16 bits are for tensor cores, whose sums are activated by a kernel more. */
    void up(
            TornadoExpertPlan p,
            Matrix x,
            @Nullable Matrix inputWeights,
            Projections w,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden) {
        ExpertShape shape = w.shape();
        try (TornadoMemory.DeviceScope scratch = memory.open()) {
            int scale = rowWeights(p, inputWeights, scratch);
            if (x.type() != ElementType.F32) {
                int columns = shape.preActivations();
                Matrix sums = pre == null
                        ? scratch.allocate(ElementType.F32, p.sizes().rows(), columns)
                        : pre;
                upTable(p, x, w, scale, columns, base(sums), rowStride(sums)).product(device, x.type(), false);
                activate(activation, shape.gated(), sums, hidden);
                return;
            }
            upTable(p, x, w, scale, shape.ffnHiddenSize(), 0, 0)
                    .up(
                            device,
                            new Arguments()
                                    .add(0, shape.gated() ? shape.ffnHiddenSize() : 0)
                                    .matrix(pre)
                                    .matrix(hidden)
                                    .add(activation.function().ordinal())
                                    .activation(activation));
        }
    }

    /** Groups of the first columns of the up-projection, whose result begins at a place. */
    private static GroupTable upTable(
            TornadoExpertPlan p, Matrix x, Projections w, int scale, int columns, int result, int resultStride) {
        int h = w.shape().hiddenSize();
        int inputColumns = w.shape().preActivations();
        GroupTable table = new GroupTable();
        for (int e = 0; e < p.sizes().numExperts(); e++) {
            int first = p.firstRow(e);
            int map = p.tokenOfRow() + first;
            int c = result + first * resultStride;
            int bias = bias(w.inputBias(), e);
            if (table.group(p.tokensPerExpert(e), columns, c, resultStride, 1, bias, map, behind(scale, first))) {
                table.segment(base(x), rowStride(x), 1, base(w.input()) + e * h * inputColumns, inputColumns, 1, h);
            }
        }
        return table;
    }

    /** Down-projection. */
    void down(TornadoExpertPlan p, Matrix hidden, Projections w, Matrix out) {
        ExpertShape shape = w.shape();
        TopologySizes topology = p.sizes();
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        GroupTable table = new GroupTable();
        for (int e = 0; e < topology.numExperts(); e++) {
            int first = p.firstRow(e);
            int target = base(out) + first * rowStride(out);
            if (table.group(
                    p.tokensPerExpert(e),
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
        table.product(device, hidden.type(), false);
    }

    /** Weighted sum of every token's rows. */
    void sumRows(TornadoExpertPlan plan, Matrix rows, @Nullable Matrix weights, Matrix y, boolean accumulate) {
        device.launch(
                Kernel.COMBINE,
                new Arguments()
                        .add(rows(y), columns(y), plan.sizes().topK(), plan.rowOfSlot())
                        .matrix(rows)
                        .matrix(weights)
                        .matrix(y)
                        .flag(accumulate),
                columns(y),
                rows(y));
    }

    /** The activation alone. */
    void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
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
}
