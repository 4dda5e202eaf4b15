package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.RoutingKernels;
import dev.dropless.blocksparse.spi.RoutingOperands;
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
        String common = RoutingOperands.refusal(rule);
        if (common != null) {
            return common;
        }
        if (launcher.sharedBytes("router_forward", rule.choices()) > mostSharedBytes) {
            return "%d choices need more than the %d bytes of shared memory that a block may have"
                    .formatted(rule.choices(), mostSharedBytes);
        }
        return null;
    }

    @Override
    public DeviceRouting route(RoutingRule rule, Matrix logits, @Nullable Matrix bias, @Nullable Matrix selectionBias) {
        RoutingOperands.route(this, memory.space(), rule, logits, bias, selectionBias);
        Conversions.inputs("logits", logits);
        if (bias != null) {
            Conversions.inputs("bias", bias);
        }
        if (selectionBias != null) {
            Conversions.inputs("selectionBias", selectionBias);
        }
        boolean biased = rule.by() == RoutingRule.By.SCORE_PLUS_BIAS;
        return new CudaRouting(memory, launcher, rule, logits, bias, biased ? selectionBias : null);
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
