package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * Warm calls allocate a few small objects (the description of the product, the task that is handed to the threads), however many tokens there are, and tiles
 * nothing. Counted over all threads, after the compiler has settled.
 */
class AllocationTest {

    private static final int BYTES_PER_CALL = 256;
    private static final int CALLS = 100;
    private static final long PATIENCE = 30_000_000_000L;

    private static final int EXPERTS = 4;
    private static final int TOP_K = 2;
    private static final int H = 96;
    private static final int F = 64;
    private static final ExpertShape SHAPE = new ExpertShape(EXPERTS, H, F, true, false, false);

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @Test
    void callsOfAllSizesAllocateLittle() {
        try (Arena arena = Arena.ofShared();
                CpuKernels kernels = new CpuKernels(CpuTier.select(null), 2);
                ExpertWeights weights = kernels.experts().allocate(SHAPE, ElementType.F32);
                ExpertWeights gradients = kernels.experts().allocate(SHAPE, ElementType.F32)) {
            for (int tokens : new int[] {8, 200}) {
                calls(kernels.experts(), weights, gradients, tokens, arena).forEach(this::check);
            }
        }
    }

    private void check(String name, Runnable call) {
        long end = System.nanoTime() + PATIENCE;
        long bytes;
        do {
            for (int i = 0; i < 20 * CALLS; i++) {
                call.run();
            }
            long before = threads.getTotalThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                call.run();
            }
            bytes = (threads.getTotalThreadAllocatedBytes() - before) / CALLS;
        } while (bytes > BYTES_PER_CALL && System.nanoTime() < end);
        assertTrue(bytes <= BYTES_PER_CALL, name + ": " + bytes + " bytes per call");
    }

    private static Map<String, Runnable> calls(
            ExpertKernels kernels, ExpertWeights weights, ExpertWeights gradients, int tokens, Arena arena) {
        int[] ids = new int[tokens * TOP_K];
        for (int slot = 0; slot < ids.length; slot++) {
            ids[slot] = (slot / TOP_K + slot % TOP_K) % EXPERTS;
        }
        Topology topology = Topology.of(ids, TOP_K, EXPERTS);
        ExpertPlan plan = kernels.plan(topology);
        int rows = topology.rows();
        Matrix x = matrix(arena, tokens, H);
        Matrix y = matrix(arena, tokens, H);
        Matrix combineWeights = matrix(arena, tokens, TOP_K);
        Matrix dCombineWeights = matrix(arena, tokens, TOP_K);
        Matrix pre = matrix(arena, rows, 2 * F);
        Matrix dPre = matrix(arena, rows, 2 * F);
        Matrix hidden = matrix(arena, rows, F);
        Matrix out = matrix(arena, rows, H);
        Activation silu = Activation.of(Activation.Function.SILU);
        Map<String, Runnable> calls = new LinkedHashMap<>();
        calls.put("up", () -> kernels.up(plan, x, null, weights, silu, pre, hidden));
        calls.put("down", () -> kernels.down(plan, hidden, weights, out));
        calls.put("combine", () -> kernels.combine(plan, out, combineWeights, y, false));
        calls.put(
                "downDgrad",
                () -> kernels.downDgrad(
                        plan, y, combineWeights, weights, silu, pre, hidden, true, dPre, dCombineWeights));
        calls.put("downWgrad", () -> kernels.downWgrad(plan, hidden, y, combineWeights, gradients));
        calls.put("upDgrad", () -> kernels.upDgrad(plan, dPre, weights, out));
        calls.put("upWgrad", () -> kernels.upWgrad(plan, x, null, dPre, gradients));
        calls.put("aggregate", () -> kernels.aggregate(plan, out, null, null, y, false, null));
        return calls;
    }

    private static Matrix matrix(Arena arena, int rows, int columns) {
        return Matrix.allocate(arena, ElementType.F32, rows, columns);
    }
}
