package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.Launcher.THREADS;
import static dev.dropless.kernels.cuda.Launcher.TILE;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Level 2: each operation checks its operands, converts those whose type the kernels do not take, and queues one to three kernels. The host waits for nothing. */
final class CudaExpertKernels implements ExpertKernels {

    /** Columns that one block of bias_grad sums. */
    private static final int BIAS_COLUMNS = 32;

    /** Elements that a thread of combine sums. */
    private static final int RUN = 8;

    private static final int WARPS = THREADS / 32;

    private final CudaMemory memory;
    private final Launcher launcher;
    private final ExpertEngine engine;

    CudaExpertKernels(CudaMemory memory, Launcher launcher, ExpertEngine engine) {
        this.memory = memory;
        this.launcher = launcher;
        this.engine = engine;
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        if (type == ElementType.F64) {
            throw new IllegalArgumentException("type: expected F32, BF16 or F16, found F64");
        }
        return new CudaExpertWeights(memory, launcher, shape, type);
    }

    @Override
    public ExpertPlan plan(Topology topology) {
        return CudaExpertPlan.of(memory, topology);
    }

    private Conversions conversions() {
        return new Conversions(memory, launcher);
    }

    private CudaExpertPlan own(ExpertPlan plan) {
        return CudaExpertPlan.own(plan, memory);
    }

    private CudaExpertWeights own(String argument, ExpertWeights weights) {
        return CudaExpertWeights.own(argument, weights, memory);
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
        CudaExpertPlan p = own(plan);
        CudaExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        ExpertOperands.up(memory.space(), plan.sizes(), x, inputWeights, shape, pre, hidden);
        Conversions.outputs("pre", pre, "hidden", hidden);
        try (Conversions c = conversions()) {
            ElementType type = c.common("x", x.type(), w.type());
            Matrix tokens = c.as("x", x, type);
            Matrix input = c.as("weights", w.input(), type);
            long scale = c.slots("inputWeights", inputWeights);
            engine.up(
                    new ExpertEngine.Up(p, type, tokens, scale, input, w.inputBias(), activation, pre, hidden, shape));
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        CudaExpertPlan p = own(plan);
        CudaExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        ExpertOperands.down(memory.space(), plan.sizes(), hidden, shape, out);
        Conversions.outputs("out", out);
        try (Conversions c = conversions()) {
            ElementType type = c.common("hidden", hidden.type(), w.type());
            Matrix activations = c.as("hidden", hidden, type);
            Matrix output = c.as("weights", w.output(), type);
            engine.down(new ExpertEngine.Down(p, type, activations, output, w.outputBias(), out, shape));
        }
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        CudaExpertPlan p = own(plan);
        ExpertOperands.combine(memory.space(), plan.sizes(), out, combineWeights, y);
        Conversions.inputs("out", out);
        Conversions.outputs("y", y);
        try (Conversions c = conversions()) {
            sumRows(p, out, c.slots("combineWeights", combineWeights), y, accumulate);
        }
    }

    /** Adds up every token's rows. */
    private void sumRows(CudaExpertPlan plan, Matrix rows, long weights, Matrix y, boolean accumulate) {
        long runs = plan.sizes().tokens() * Math.ceilDiv(y.columns(), RUN);
        launcher.elementwise("combine", Math.ceilDiv(runs, THREADS), words -> {
            plan.write(words);
            words.matrix(rows).word(weights).matrix(y).word(y.columns()).flag(accumulate);
        });
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
        CudaExpertPlan p = own(plan);
        CudaExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        ExpertOperands.downDgrad(
                memory.space(),
                plan.sizes(),
                dY,
                combineWeights,
                shape,
                pre,
                hidden,
                recomputeHidden,
                dPre,
                dCombineWeights);
        Conversions.inputs("pre", pre);
        Conversions.outputs("hidden", hidden, "dPre", dPre);
        try (Conversions c = conversions()) {
            ElementType type = c.common("dY", dY.type(), w.type());
            Matrix gradient = c.as("dY", dY, type);
            Matrix output = c.as("weights", w.output(), type);
            long scale = c.slots("combineWeights", combineWeights);
            int columnTiles = Math.ceilDiv(shape.ffnHiddenSize(), TILE);
            long partial = dCombineWeights == null
                    ? 0
                    : c.bytes((long) columnTiles * plan.sizes().slots() * Float.BYTES);
            engine.downDgrad(new ExpertEngine.DownDgrad(
                    p, type, gradient, scale, output, pre, hidden, recomputeHidden, dPre, partial, activation, shape));
            if (dCombineWeights != null) {
                Matrix bias = w.outputBias();
                Matrix left = bias == null ? null : gradient;
                slotGradient(c, p, partial, columnTiles, left, bias, true, "dCombineWeights", dCombineWeights);
            }
        }
    }

    /** result[s] = sum of partial sums of its row, plus left[token] right[row or expert]. */
    private void slotGradient(
            Conversions c,
            CudaExpertPlan plan,
            long partial,
            int partialTiles,
            @Nullable Matrix left,
            @Nullable Matrix right,
            boolean byExpert,
            String argument,
            Matrix result) {
        Conversions.outputs(argument, result);
        Matrix dense = c.denseFloats(result);
        launcher.elementwise("slot_dot", Math.ceilDiv((long) plan.sizes().slots(), WARPS), words -> {
            plan.write(words);
            words.word(partial)
                    .word(partialTiles)
                    .matrix(left)
                    .matrix(right)
                    .word(left == null ? 0 : left.columns())
                    .flag(byExpert)
                    .word(addressOf(dense));
        });
        if (dense != result) {
            launcher.convert(dense, result);
        }
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        CudaExpertPlan p = own(plan);
        CudaExpertWeights g = own("gradients", gradients);
        ExpertShape shape = g.shape();
        ExpertOperands.downWgrad(memory.space(), plan.sizes(), hidden, dY, combineWeights, shape);
        try (Conversions c = conversions()) {
            long scale = c.slots("combineWeights", combineWeights);
            ElementType type = c.common("hidden and dY", hidden.type(), dY.type());
            Matrix left = c.as("dY", dY, type);
            Matrix right = c.as("hidden", hidden, type);
            engine.downWgrad(new ExpertEngine.WeightGradient(p, type, left, right, scale, g.output()));
            Matrix bias = g.outputBias();
            if (bias != null) {
                biasGradient(p, left, true, scale, bias);
            }
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        CudaExpertPlan p = own(plan);
        CudaExpertWeights w = own("weights", weights);
        ExpertShape shape = w.shape();
        ExpertOperands.upDgrad(memory.space(), plan.sizes(), dPre, shape, dRows);
        Conversions.outputs("dRows", dRows);
        try (Conversions c = conversions()) {
            ElementType type = c.common("dPre", dPre.type(), w.type());
            Matrix gradient = c.as("dPre", dPre, type);
            Matrix input = c.as("weights", w.input(), type);
            engine.upDgrad(new ExpertEngine.UpDgrad(p, type, gradient, input, dRows, shape));
        }
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        CudaExpertPlan p = own(plan);
        CudaExpertWeights g = own("gradients", gradients);
        ExpertShape shape = g.shape();
        ExpertOperands.upWgrad(memory.space(), plan.sizes(), x, inputWeights, dPre, shape);
        try (Conversions c = conversions()) {
            long scale = c.slots("inputWeights", inputWeights);
            ElementType type = c.common("x and dPre", x.type(), dPre.type());
            Matrix left = c.as("dPre", dPre, type);
            Matrix right = c.as("x", x, type);
            engine.upWgrad(new ExpertEngine.WeightGradient(p, type, right, left, scale, g.input()));
            Matrix bias = g.inputBias();
            if (bias != null) {
                biasGradient(p, left, false, 0, bias);
            }
        }
    }

    private void biasGradient(CudaExpertPlan plan, Matrix source, boolean byToken, long scale, Matrix gradient) {
        long blocks = gradient.rows() * Math.ceilDiv(gradient.columns(), (long) BIAS_COLUMNS);
        launcher.elementwise("bias_grad", blocks, words -> {
            plan.write(words);
            words.matrix(source)
                    .word(scale)
                    .matrix(gradient)
                    .word(gradient.columns())
                    .flag(byToken)
                    .flag(true);
        });
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
        CudaExpertPlan p = own(plan);
        ExpertOperands.aggregate(memory.space(), plan.sizes(), dRows, inputWeights, x, dX, dInputWeights);
        Conversions.inputs("dRows", dRows);
        Conversions.outputs("dX", dX);
        try (Conversions c = conversions()) {
            sumRows(p, dRows, c.slots("inputWeights", inputWeights), dX, accumulate);
            if (dInputWeights != null && x != null) {
                Conversions.inputs("x", x);
                slotGradient(c, p, 0, 0, x, dRows, false, "dInputWeights", dInputWeights);
            }
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(memory.space(), gated, pre, hidden);
        Conversions.inputs("pre", pre);
        Conversions.outputs("hidden", hidden);
        activation("activate", activation, gated, pre, null, hidden, hidden.columns());
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(memory.space(), gated, pre, dHidden, dPre);
        Conversions.inputs("pre", pre);
        Conversions.inputs("dHidden", dHidden);
        Conversions.outputs("dPre", dPre);
        activation("activate_backward", activation, gated, pre, dHidden, dPre, dHidden.columns());
    }

    private void activation(
            String operation,
            Activation activation,
            boolean gated,
            Matrix pre,
            @Nullable Matrix dHidden,
            Matrix result,
            long ffnHiddenSize) {
        long runs = pre.rows() * Math.ceilDiv(ffnHiddenSize, (long) RUN);
        launcher.elementwise(
                operation,
                Math.ceilDiv(runs, (long) THREADS),
                words -> words.matrix(pre)
                        .matrix(dHidden)
                        .matrix(result)
                        .activation(activation)
                        .word(pre.rows())
                        .word(ffnHiddenSize)
                        .flag(gated));
    }
}
