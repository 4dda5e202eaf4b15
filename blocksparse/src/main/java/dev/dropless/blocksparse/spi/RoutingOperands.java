package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Entry checks of {@link RoutingKernels}, and what else is the same for all devices that route. */
public final class RoutingOperands {

    private RoutingOperands() {}

    /**
     * Tells why no device computes a rule.
     *
     * @param rule how to route
     * @return one line that names what is not supported, or null
     */
    public static @Nullable String refusal(RoutingRule rule) {
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

    /**
     * Checks {@link RoutingKernels#route}.
     *
     * @param kernels who is asked
     * @param space memory of the back end
     * @param rule how
     * @param logits [T, choices]
     * @param bias [1, choices], or null
     * @param selectionBias [1, choices], or null where the rule does not select by it
     * @throws IllegalArgumentException if the rule is refused, or an operand's shape or memory is wrong; the message names it
     */
    public static void route(
            RoutingKernels kernels,
            MemorySpace space,
            RoutingRule rule,
            Matrix logits,
            @Nullable Matrix bias,
            @Nullable Matrix selectionBias) {
        String refusal = kernels.refusal(rule);
        if (refusal != null) {
            throw new IllegalArgumentException("rule: expected one that the device supports, found that " + refusal);
        }
        Operands.shape("logits", logits, space, logits.rows(), rule.choices());
        if (logits.rows() > Integer.MAX_VALUE / rule.topK()) {
            throw new IllegalArgumentException("logits: expected at most %d rows for topK = %d, found %d"
                    .formatted(Integer.MAX_VALUE / rule.topK(), rule.topK(), logits.rows()));
        }
        if (bias != null) {
            Operands.shape("bias", bias, space, 1, rule.choices());
        }
        if (selectionBias != null) {
            Operands.shape("selectionBias", selectionBias, space, 1, rule.choices());
        } else if (rule.by() == RoutingRule.By.SCORE_PLUS_BIAS) {
            throw new IllegalArgumentException(
                    "selectionBias: expected [1, %d] for a rule that selects by it, found none"
                            .formatted(rule.choices()));
        }
    }

    /**
     * The topology of a decision: identity experts have no rows.
     *
     * @param rule what decided
     * @param choiceIds experts by slot, [T, k]; overwritten
     * @return the topology of the experts with weights
     */
    public static Topology topology(RoutingRule rule, int[] choiceIds) {
        for (int slot = 0; slot < choiceIds.length; slot++) {
            choiceIds[slot] = choiceIds[slot] < rule.numExperts() ? choiceIds[slot] : Topology.UNASSIGNED;
        }
        return Topology.of(choiceIds, rule.topK(), rule.numExperts());
    }
}
