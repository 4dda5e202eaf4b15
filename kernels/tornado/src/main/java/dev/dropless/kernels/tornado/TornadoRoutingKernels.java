package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels;
import dev.dropless.blocksparse.spi.RoutingOperands;
import dev.dropless.blocksparse.spi.RoutingRule;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/**
 * Routing on the device, in double precision: every rule but divisors of another order than 1 and 2, on devices that have
 * doubles. Of a batch only the number of each expert's rows comes to the host.
 */
final class TornadoRoutingKernels implements RoutingKernels {

    private final Device device;
    private final TornadoMemory memory;

    TornadoRoutingKernels(Device device, TornadoMemory memory) {
        this.device = device;
        this.memory = memory;
    }

    @Override
    public @Nullable String refusal(RoutingRule rule) {
        if (!device.hasDoubles()) {
            return "the device has no double precision";
        }
        return RoutingOperands.refusal(rule);
    }

    @Override
    public DeviceRouting route(RoutingRule rule, Matrix logits, @Nullable Matrix bias, @Nullable Matrix selectionBias) {
        RoutingOperands.route(this, memory.space(), rule, logits, bias, selectionBias);
        boolean biased = rule.by() == RoutingRule.By.SCORE_PLUS_BIAS;
        return new TornadoRouting(device, memory, rule, logits, bias, biased ? selectionBias : null);
    }

    @Override
    public ExpertPlan dense(int tokens) {
        int zeros = device.takeInts(new int[tokens]);
        try {
            return TornadoExpertPlan.onDevice(device, zeros, tokens, 1, 1, () -> Topology.dense(tokens));
        } finally {
            device.giveInts(zeros);
        }
    }
}
