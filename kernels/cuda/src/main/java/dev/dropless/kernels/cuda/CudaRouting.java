package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels.DeviceRouting;
import dev.dropless.blocksparse.spi.RoutingOperands;
import dev.dropless.blocksparse.spi.RoutingRule;
import org.jspecify.annotations.Nullable;

/** One batch's ids, weights and plan on the device. */
final class CudaRouting implements DeviceRouting {

    /** Tokens that a block of the router kernels computes at a time. */
    private static final int TOKENS = 4;

    private static final int WARPS = Launcher.THREADS / 32;

    private final CudaMemory memory;
    private final Launcher launcher;
    private final RoutingRule rule;
    private final Matrix logits;
    private final @Nullable Matrix bias;
    private final @Nullable Matrix selectionBias;
    private final int tokens;
    private final CudaMemory.DeviceScope scope;
    private final long choiceIds;
    private final Matrix weights;
    private final CudaExpertPlan plan;
    private boolean closed;

    /** Queues everything; arguments were checked. */
    CudaRouting(
            CudaMemory memory,
            Launcher launcher,
            RoutingRule rule,
            Matrix logits,
            @Nullable Matrix bias,
            @Nullable Matrix selectionBias) {
        this.memory = memory;
        this.launcher = launcher;
        this.rule = rule;
        this.logits = logits;
        this.bias = bias;
        this.selectionBias = selectionBias;
        this.tokens = (int) logits.rows();
        this.scope = memory.open();
        try {
            long bytes = (long) tokens * rule.topK() * Integer.BYTES;
            choiceIds = scope.take(bytes).address();
            boolean identity = rule.numExperts() < rule.choices();
            long expertIds = identity ? scope.take(bytes).address() : choiceIds;
            weights = scope.allocate(ElementType.F32, tokens, rule.topK());
            run("router_forward", words -> words.word(choiceIds).word(expertIds).word(addressOf(weights)));
            plan = CudaExpertPlan.onDevice(
                    memory,
                    launcher,
                    expertIds,
                    tokens,
                    rule.topK(),
                    rule.numExperts(),
                    () -> RoutingOperands.topology(rule, choiceIds()));
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** Starts a kernel whose arguments begin with the rule. */
    private void run(String kernel, java.util.function.Consumer<KernelArguments> rest) {
        launcher.perExpert(kernel, Math.ceilDiv(tokens, TOKENS), rule.choices(), words -> {
            writeRule(words);
            rest.accept(words);
        });
    }

    private void writeRule(KernelArguments words) {
        RoutingRule.Groups groups = rule.groups();
        RoutingRule.Divisor divisor = rule.divisor();
        words.matrix(logits)
                .matrix(bias)
                .matrix(selectionBias)
                .word(tokens)
                .word(rule.choices())
                .word(rule.topK())
                .word(rule.numExperts())
                .word(rule.score().ordinal())
                .word(rule.by().ordinal())
                .word(groups == null ? 0 : groups.count())
                .word(groups == null ? 0 : groups.stay())
                .flag(groups != null && groups.sumOfTwo())
                .word(rule.source().ordinal())
                .word(divisor == null ? 0 : (long) divisor.p())
                .number(divisor == null ? 0 : divisor.epsilon())
                .number(divisor == null ? 0 : divisor.floor())
                .number(rule.scale())
                .number(rule.softCap());
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
        return memory.download(choiceIds, tokens * rule.topK());
    }

    @Override
    public void backward(Matrix dWeights, @Nullable Matrix more, Matrix dLogits, boolean accumulate) {
        checkOpen();
        Conversions.outputs("dLogits", dLogits);
        try (Conversions c = new Conversions(memory, launcher)) {
            long first = c.slots("dWeights", dWeights);
            long second = c.slots("more", more);
            run(
                    "router_backward",
                    words -> words.word(choiceIds)
                            .word(first)
                            .word(second)
                            .matrix(dLogits)
                            .flag(accumulate));
        }
    }

    @Override
    public void addIdentity(double factor, Matrix x, Matrix y) {
        checkOpen();
        Conversions.inputs("x", x);
        Conversions.outputs("y", y);
        launcher.elementwise(
                "identity_add",
                CudaElementwise.blocks(y.rows() * y.columns()),
                words -> words.word(choiceIds)
                        .word(addressOf(weights))
                        .word(tokens)
                        .word(rule.topK())
                        .word(rule.numExperts())
                        .number(factor)
                        .matrix(x)
                        .matrix(y)
                        .word(y.columns()));
    }

    @Override
    public void identityGradient(double factor, Matrix x, Matrix dY, Matrix dWeights) {
        checkOpen();
        Conversions.inputs("x", x);
        Conversions.inputs("dY", dY);
        if (dWeights.type() != ElementType.F32 || dWeights.rowStride() != dWeights.columns()) {
            throw new IllegalArgumentException("dWeights: expected dense F32 [%d, %d], found %s"
                    .formatted(tokens, rule.topK(), dWeights.describe()));
        }
        launcher.elementwise(
                "identity_dot",
                Math.ceilDiv((long) tokens * rule.topK(), WARPS),
                words -> words.word(choiceIds)
                        .word(tokens)
                        .word(rule.topK())
                        .word(rule.numExperts())
                        .number(factor)
                        .matrix(x)
                        .matrix(dY)
                        .word(x.columns())
                        .word(addressOf(dWeights)));
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            plan.close();
            scope.close();
        }
    }
}
