package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.base;
import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rowStride;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels.DeviceRouting;
import dev.dropless.blocksparse.spi.RoutingOperands;
import dev.dropless.blocksparse.spi.RoutingRule;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.kernels.tornado.engine.RouterWords;
import dev.dropless.kernels.tornado.engine.Tables;
import org.jspecify.annotations.Nullable;

/** One batch's choices, weights and plan on the device. */
final class TornadoRouting implements DeviceRouting {

    private final Device device;
    private final TornadoMemory memory;
    private final TornadoMemory.DeviceScope scope;
    private final RoutingRule rule;
    private final Matrix logits;
    private final @Nullable Matrix bias;
    private final @Nullable Matrix selectionBias;
    private final int tokens;
    private final int slots;
    private final int ids;
    private final Matrix weights;
    private final TornadoExpertPlan plan;
    private boolean closed;

    /** Runs everything; arguments were checked. */
    TornadoRouting(
            Device device,
            TornadoMemory memory,
            RoutingRule rule,
            Matrix logits,
            @Nullable Matrix bias,
            @Nullable Matrix selectionBias) {
        this.device = device;
        this.memory = memory;
        this.rule = rule;
        this.tokens = (int) logits.rows();
        this.slots = tokens * rule.topK();
        this.scope = memory.open();
        int groups = rule.groups() == null ? 1 : rule.groups().count();
        this.ids = device.takeInts(Math.max(1L, slots));
        // Experts of slots and flags of groups are needed here only.
        int scratch = device.takeInts((long) slots + (long) tokens * groups);
        try {
            this.logits = wide(logits);
            this.bias = bias == null ? null : wide(bias);
            this.selectionBias = selectionBias == null ? null : wide(selectionBias);
            weights = scope.allocate(ElementType.F32, tokens, rule.topK());
            int[] words = words(scratch);
            if (rule.groups() != null) {
                device.launch(Kernel.ROUTE_GROUPS, arguments(words), groups, tokens);
            }
            device.launch(Kernel.ROUTE, arguments(words), tokens, 1);
            plan = TornadoExpertPlan.onDevice(
                    device,
                    scratch,
                    tokens,
                    rule.topK(),
                    rule.numExperts(),
                    () -> RoutingOperands.topology(rule, choiceIds()));
        } catch (RuntimeException e) {
            device.giveInts(ids);
            scope.close();
            throw e;
        } finally {
            device.giveInts(scratch);
        }
    }

    /** The matrix itself if it is F32, else a copy that lives as long as this. */
    private Matrix wide(Matrix matrix) {
        if (matrix.type() == ElementType.F32) {
            return matrix;
        }
        Matrix wide = scope.allocate(ElementType.F32, matrix.rows(), matrix.columns());
        memory.convert(matrix, wide);
        return wide;
    }

    /** The words that both directions take. */
    private int[] words(int experts) {
        RoutingRule.Groups groups = rule.groups();
        RoutingRule.Divisor divisor = rule.divisor();
        int[] words = new int[RouterWords.ACCUMULATE + 1];
        words[RouterWords.TOKENS] = tokens;
        words[RouterWords.GROUPS] = groups == null ? 1 : groups.count();
        words[RouterWords.CHOICES] = rule.choices();
        words[RouterWords.TOP_K] = rule.topK();
        words[RouterWords.NUM_EXPERTS] = rule.numExperts();
        words[RouterWords.LOGITS] = base(logits);
        words[RouterWords.LOGITS_ROW] = rowStride(logits);
        words[RouterWords.BIAS] = bias == null ? Tables.NONE : base(bias);
        words[RouterWords.SELECTION] = selectionBias == null ? Tables.NONE : base(selectionBias);
        words[RouterWords.SCORE] = rule.score().ordinal();
        words[RouterWords.BY] = rule.by().ordinal();
        words[RouterWords.STAY] = groups == null ? 1 : groups.stay();
        words[RouterWords.SUM_OF_TWO] = groups != null && groups.sumOfTwo() ? 1 : 0;
        words[RouterWords.SOURCE] = rule.source().ordinal();
        words[RouterWords.NORM] = divisor == null ? 0 : (int) divisor.p();
        words[RouterWords.KEPT] = groups == null ? Tables.NONE : experts + slots;
        words[RouterWords.IDS] = ids;
        words[RouterWords.EXPERTS] = experts;
        words[RouterWords.WEIGHTS] = base(weights);
        return words;
    }

    private Arguments arguments(int[] words) {
        RoutingRule.Divisor divisor = rule.divisor();
        return new Arguments()
                .add(words)
                .doubles(
                        divisor == null ? 0 : divisor.epsilon(),
                        divisor == null ? 0 : divisor.floor(),
                        rule.scale(),
                        rule.softCap());
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("routing is closed");
        }
    }

    @Override
    public ExpertPlan plan() {
        return plan;
    }

    @Override
    public Matrix weights() {
        return weights;
    }

    @Override
    public int[] choiceIds() {
        checkOpen();
        return device.readInts(ids, slots);
    }

    @Override
    public void backward(Matrix dWeights, @Nullable Matrix more, Matrix dLogits, boolean accumulate) {
        checkOpen();
        try (SinglePrecision f = new SinglePrecision(memory)) {
            Matrix own = f.in(dWeights);
            Matrix added = f.inOrNull(more);
            Matrix result = f.out(dLogits, accumulate);
            int[] words = words(Tables.NONE);
            words[RouterWords.D_WEIGHTS] = base(own);
            words[RouterWords.D_WEIGHTS_ROW] = rowStride(own);
            words[RouterWords.MORE] = added == null ? Tables.NONE : base(added);
            words[RouterWords.MORE_ROW] = added == null ? 0 : rowStride(added);
            words[RouterWords.D_LOGITS] = base(result);
            words[RouterWords.D_LOGITS_ROW] = rowStride(result);
            words[RouterWords.ACCUMULATE] = accumulate ? 1 : 0;
            device.launch(Kernel.ROUTE_GRADIENT, arguments(words), tokens, 1);
            f.finish();
        }
    }

    @Override
    public void addIdentity(double factor, Matrix x, Matrix y) {
        checkOpen();
        try (SinglePrecision f = new SinglePrecision(memory)) {
            device.launch(
                    Kernel.IDENTITY_ADD,
                    new Arguments()
                            .add(tokens, columns(y), rule.topK(), ids, rule.numExperts(), base(weights))
                            .matrix(f.in(x))
                            .matrix(f.out(y, true))
                            .constant((float) factor),
                    columns(y),
                    tokens);
            f.finish();
        }
    }

    @Override
    public void identityGradient(double factor, Matrix x, Matrix dY, Matrix dWeights) {
        checkOpen();
        try (SinglePrecision f = new SinglePrecision(memory)) {
            device.launch(
                    Kernel.IDENTITY_GRADIENT,
                    new Arguments()
                            .add(tokens, rule.topK(), columns(x), ids, rule.numExperts())
                            .matrix(f.in(x))
                            .matrix(f.in(dY))
                            .matrix(f.out(dWeights, true))
                            .constant((float) factor),
                    rule.topK(),
                    tokens);
            f.finish();
        }
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            plan.close();
            device.giveInts(ids);
            scope.close();
        }
    }
}
