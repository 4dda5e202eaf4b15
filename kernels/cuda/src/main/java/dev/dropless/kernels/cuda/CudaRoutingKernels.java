package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels;
import dev.dropless.blocksparse.spi.RoutingRule;
import dev.dropless.topology.Topology;
import jcuda.driver.CUdevice_attribute;
import org.jspecify.annotations.Nullable;

/**
 * Routing by {@code router.cu} and {@code topology.cu}: every rule but divisors of another order than 1 and 2, and more choices than a block's shared memory holds
 * (3632 where it is 227 KiB).
 */
final class CudaRoutingKernels implements RoutingKernels {

    private final CudaMemory memory;
    private final Launcher launcher;
    private final int mostSharedBytes;

    CudaRoutingKernels(DeviceContext context, CudaMemory memory, Launcher launcher) {
        this.memory = memory;
        this.launcher = launcher;
        this.mostSharedBytes =
                context.attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    }

    @Override
    public @Nullable String refusal(RoutingRule rule) {
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
        if (launcher.sharedBytes("router_forward", rule.choices()) > mostSharedBytes) {
            return "%d choices need more than the %d bytes of shared memory that a block may have"
                    .formatted(rule.choices(), mostSharedBytes);
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
        return new CudaRouting(memory, launcher, rule, logits, bias, biased ? selectionBias : null);
    }

    private void shape(String argument, @Nullable Matrix matrix, long rows, long columns) {
        if (matrix == null) {
            return;
        }
        Conversions.inputs(argument, matrix);
        if (matrix.rows() != rows
                || matrix.columns() != columns
                || !matrix.space().equals(memory.space())) {
            throw new IllegalArgumentException("%s: expected [%d, %d] in %s, found %s in %s"
                    .formatted(argument, rows, columns, memory.space(), matrix.describe(), matrix.space()));
        }
    }

    @Override
    public ExpertPlan dense(int tokens) {
        CudaMemory.DeviceScope ids = memory.open();
        try {
            DeviceBuffer zeros = ids.take((long) tokens * Integer.BYTES);
            zeros.clear();
            return CudaExpertPlan.onDevice(
                    memory, launcher, zeros.address(), tokens, 1, 1, () -> Topology.dense(tokens));
        } finally {
            ids.close(); // behind the kernels that read them
        }
    }
}
