package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.RoutingKernels.DeviceRouting;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A decision that stays where the back end computes. Only {@link #onHost} and auxiliary losses copy anything. */
final class DeviceBatchRouting implements BatchRouting {

    private final Kernels kernels;
    private final ElementwiseKernels elementwise;
    private final MoeConfig config;
    private final DeviceRule rule;
    private final DeviceRouting routing;
    private final Matrix logits;
    private final RouterStage stage;
    private final ForwardOptions options;
    private @Nullable Routing onHost;

    DeviceBatchRouting(
            RouterStage stage, DeviceRule rule, DeviceRouting routing, Matrix logits, ForwardOptions options) {
        this.kernels = stage.kernels();
        this.elementwise = rule.elementwise();
        this.config = stage.config();
        this.stage = stage;
        this.rule = rule;
        this.routing = routing;
        this.logits = logits;
        this.options = options;
    }

    @Override
    public int tokens() {
        return (int) logits.rows();
    }

    @Override
    public boolean isOnHost() {
        return false;
    }

    /** The ids and weights that the device computed with; scores are computed from its logits again. */
    @Override
    public synchronized Routing onHost() {
        if (onHost == null) {
            int[] ids = routing.choiceIds();
            double[] weights = stage.toHost(routing.weights());
            double factor = rule.weightFactor();
            for (int i = 0; factor != 1 && i < weights.length; i++) {
                weights[i] /= factor;
            }
            RouterInput input = stage.input(logits, options).build();
            onHost = Routing.of(input, config.topK(), rule.gating(), ids, weights);
        }
        return onHost;
    }

    /** The rule's scale has the factor in it. */
    @Override
    public Matrix slotWeights(double factor, KernelMemory.Scope saved) {
        if (factor != rule.weightFactor()) {
            throw new IllegalStateException(
                    "the rule was made for factor %s, found %s".formatted(rule.weightFactor(), factor));
        }
        return routing.weights();
    }

    @Override
    public ExpertBatch open(ExpertExecution execution, ExpertExecution.Keep keep) {
        return ((DroplessExecution) execution).open(routing.plan(), keep);
    }

    @Override
    public void addIdentity(Matrix x, Matrix y) {
        routing.addIdentity(identityFactor(), x, y);
    }

    /** What the weights lack of the factor of the routed part. */
    private double identityFactor() {
        return config.routedFactor() / rule.weightFactor();
    }

    @Override
    public LogitGradients backward(
            Matrix dSlots, Matrix in, Matrix dOut, List<LossValue> losses, KernelMemory.Scope scratch) {
        if (config.identityExperts() > 0) {
            routing.identityGradient(identityFactor(), in, dOut, dSlots);
        }
        Matrix dLogits = sum(losses, LossValue::dLogits, 1, config.routedChoices(), scratch);
        boolean accumulate = dLogits != null;
        if (dLogits == null) {
            dLogits = scratch.allocate(ElementType.F32, tokens(), config.routedChoices());
        }
        if (!rule.frozen()) {
            Matrix more = sum(losses, LossValue::dWeights, 1 / rule.weightFactor(), config.topK(), scratch);
            routing.backward(dSlots, more, dLogits, accumulate);
        } else if (!accumulate) {
            elementwise.fill(dLogits, 0);
        }
        return new LogitGradients(dLogits, null);
    }

    /** Uploads the sum of one gradient of the losses; null where none has it. */
    private @Nullable Matrix sum(
            List<LossValue> losses,
            Function<LossValue, double @Nullable []> part,
            double factor,
            int columns,
            KernelMemory.Scope scratch) {
        double[] sum = null;
        for (LossValue loss : losses) {
            double[] values = part.apply(loss);
            if (values != null) {
                sum = sum == null ? new double[values.length] : sum;
                HostRouting.add(values, sum);
            }
        }
        if (sum == null) {
            return null;
        }
        for (int i = 0; factor != 1 && i < sum.length; i++) {
            sum[i] *= factor;
        }
        Matrix matrix = scratch.allocate(ElementType.F32, tokens(), columns);
        kernels.memory().copy(Matrix.of(sum, tokens(), columns), matrix);
        return matrix;
    }

    @Override
    public void close() {
        routing.close();
    }
}
