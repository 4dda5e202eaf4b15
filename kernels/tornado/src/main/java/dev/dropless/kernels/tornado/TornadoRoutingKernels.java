package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels;
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
        RoutingRule.Divisor divisor = rule.divisor();
        if (divisor != null && divisor.p() != 1 && divisor.p() != 2) {
            return "the device divides by norms of order 1 and 2, not " + divisor.p();
        }
        RoutingRule.Groups groups = rule.groups();
        if (groups != null) {
            int size = rule.choices() / groups.count();
            if (rule.choices() % groups.count() != 0
                    || rule.topK() > (long) size * groups.stay()
                    || (groups.sumOfTwo() && size < 2)) {
                return "the groups do not fit the %d choices".formatted(rule.choices());
            }
        }
        return null;
    }

    @Override
    public DeviceRouting route(RoutingRule rule, Matrix logits, @Nullable Matrix bias, @Nullable Matrix selectionBias) {
        String refusal = refusal(rule);
        if (refusal != null) {
            throw new IllegalArgumentException("rule: expected one that the device supports, found that " + refusal);
        }
        shape("logits", logits, logits.rows(), rule.choices());
        if (logits.rows() > Integer.MAX_VALUE / rule.topK()) {
            throw new IllegalArgumentException("logits: expected at most %d rows for topK = %d, found %d"
                    .formatted(Integer.MAX_VALUE / rule.topK(), rule.topK(), logits.rows()));
        }
        shape("bias", bias, 1, rule.choices());
        shape("selectionBias", selectionBias, 1, rule.choices());
        boolean biased = rule.by() == RoutingRule.By.SCORE_PLUS_BIAS;
        if (biased && selectionBias == null) {
            throw new IllegalArgumentException(
                    "selectionBias: expected [1, %d] for a rule that selects by it, found none"
                            .formatted(rule.choices()));
        }
        return new TornadoRouting(device, memory, rule, logits, bias, biased ? selectionBias : null);
    }

    private void shape(String argument, @Nullable Matrix matrix, long rows, long columns) {
        if (matrix != null
                && (matrix.rows() != rows
                        || matrix.columns() != columns
                        || !matrix.space().equals(memory.space()))) {
            throw new IllegalArgumentException("%s: expected [%d, %d] in %s, found %s in %s"
                    .formatted(argument, rows, columns, memory.space(), matrix.describe(), matrix.space()));
        }
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
