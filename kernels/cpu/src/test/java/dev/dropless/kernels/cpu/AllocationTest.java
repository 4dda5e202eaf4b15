package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertThrows;
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
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Warm operations on experts allocate nothing at all: counted over the threads that compute, after the compiler has settled. */
class AllocationTest {

    private static final int CALLS = 20;
    /**
     * Bytes of a call where the Vector API converts 16-bit weights: it depends on the order in which methods are compiled whether the optimising compiler removes all
     * boxes of vectors, or leaves a few per panel. A row of each token would be several times as much.
     */
    private static final int BOXES = 16 << 10;
    /** Nanoseconds of processor time until the compiler has settled. */
    private static final long PATIENCE = 20_000_000_000L;

    private static final int EXPERTS = 4;
    private static final int TOP_K = 2;
    private static final int H = 96;
    private static final int F = 64;
    private static final Activation SILU = Activation.of(Activation.Function.SILU);

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    /** Who computes: this thread and those that were started for it. Others, which a build has as well, allocate when they like. */
    private long[] counted = {};

    private CpuKernels open(CpuTier tier, int threadCount) {
        TileKernels tile = tier.create();
        Set<Thread> others = Thread.getAllStackTraces().keySet();
        CpuKernels kernels = new CpuKernels(tile, threadCount);
        counted = Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread == Thread.currentThread() || !others.contains(thread))
                .mapToLong(Thread::threadId)
                .toArray();
        return kernels;
    }

    private long allocated() {
        long sum = 0;
        for (long thread : counted) {
            sum += threads.getThreadAllocatedBytes(thread);
        }
        return sum;
    }

    /** All types of weights and rows; with the narrow ones biases, weighted inputs and a panel with padding. */
    @ParameterizedTest
    @CsvSource({"EMITTED, 1", "EMITTED, 2", "VECTOR, 2", "SCALAR, 1"})
    void warmCallsAllocateNothing(CpuTier tier, int threadCount) {
        Assumptions.assumeTrue(tier.disqualifier() == null, tier.disqualifier());
        try (Arena arena = Arena.ofShared();
                CpuKernels kernels = open(tier, threadCount)) {
            for (ElementType type : List.of(ElementType.F32, ElementType.BF16, ElementType.F16)) {
                boolean all = type != ElementType.F32;
                long limit = all && tier == CpuTier.VECTOR ? (long) CALLS * BOXES : 0;
                ExpertShape shape = new ExpertShape(EXPERTS, H, all ? F + 5 : F, true, all, all);
                try (ExpertWeights weights = kernels.experts().allocate(shape, type);
                        ExpertWeights gradients = kernels.experts().allocate(shape, type)) {
                    for (int tokens : new int[] {8, 150}) {
                        new Calls(kernels.experts(), weights, gradients, tokens, all, arena)
                                .all()
                                .forEach((name, call) -> check(name + " " + type + " T=" + tokens, call, limit));
                    }
                }
            }
        }
    }

    /** A call that fails gives back what it had taken: a packed operand would be some hundred kilobytes. */
    @Test
    void failedCallsLoseNothing() {
        int tokens = 150;
        try (Arena arena = Arena.ofShared();
                CpuKernels kernels = open(CpuTier.best(), 2);
                ExpertWeights weights = kernels.experts()
                        .allocate(new ExpertShape(EXPERTS, H, F, true, false, false), ElementType.F32)) {
            ExpertPlan plan = kernels.experts().plan(topology(tokens));
            Matrix x = Matrix.allocate(arena, ElementType.F32, tokens, H);
            Matrix freed = freed(tokens * TOP_K, F);
            Runnable call = () -> kernels.experts().up(plan, x, null, weights, SILU, null, freed);
            long least = Long.MAX_VALUE;
            for (int i = 0; i < CALLS; i++) {
                long before = allocated();
                assertThrows(IllegalStateException.class, call::run);
                least = Math.min(least, allocated() - before);
            }
            assertTrue(least < 50_000, least + " bytes in a call that fails");
        }
    }

    private static Matrix freed(int rows, int columns) {
        try (Arena arena = Arena.ofShared()) {
            return Matrix.allocate(arena, ElementType.F32, rows, columns);
        }
    }

    private void check(String name, Runnable call, long limit) {
        long end = threads.getCurrentThreadCpuTime() + PATIENCE;
        long least = Long.MAX_VALUE;
        while (least > limit && threads.getCurrentThreadCpuTime() < end) {
            long before = allocated();
            for (int i = 0; i < CALLS; i++) {
                call.run();
            }
            least = Math.min(least, allocated() - before);
        }
        assertTrue(least <= limit, name + ": " + least + " bytes in " + CALLS + " calls, expected " + limit);
    }

    private static Topology topology(int tokens) {
        int[] ids = new int[tokens * TOP_K];
        for (int slot = 0; slot < ids.length; slot++) {
            ids[slot] = (slot / TOP_K + slot % TOP_K) % EXPERTS;
        }
        return Topology.of(ids, TOP_K, EXPERTS);
    }

    /** All operations on one batch. */
    private record Calls(
            ExpertKernels kernels,
            ExpertWeights weights,
            ExpertWeights gradients,
            int tokens,
            boolean weightsInputs,
            Arena arena) {

        Map<String, Runnable> all() {
            ExpertShape shape = weights.shape();
            int f = shape.ffnHiddenSize();
            Topology topology = topology(tokens);
            ExpertPlan plan = kernels.plan(topology);
            int rows = topology.rows();
            Matrix x = matrix(tokens, H);
            Matrix y = matrix(tokens, H);
            Matrix w = matrix(tokens, TOP_K);
            Matrix dW = matrix(tokens, TOP_K);
            Matrix pre = matrix(rows, 2 * f);
            Matrix dPre = matrix(rows, 2 * f);
            Matrix hidden = matrix(rows, f);
            Matrix out = matrix(rows, H);
            Matrix v = weightsInputs ? w : null;
            Map<String, Runnable> calls = new LinkedHashMap<>();
            calls.put("up", () -> kernels.up(plan, x, v, weights, SILU, pre, hidden));
            calls.put("down", () -> kernels.down(plan, hidden, weights, out));
            calls.put("combine", () -> kernels.combine(plan, out, w, y, weightsInputs));
            calls.put("downDgrad", () -> kernels.downDgrad(plan, y, w, weights, SILU, pre, hidden, true, dPre, dW));
            calls.put("downWgrad", () -> kernels.downWgrad(plan, hidden, y, w, gradients));
            calls.put("upDgrad", () -> kernels.upDgrad(plan, dPre, weights, out));
            calls.put("upWgrad", () -> kernels.upWgrad(plan, x, v, dPre, gradients));
            calls.put(
                    "aggregate",
                    () -> kernels.aggregate(plan, out, v, v == null ? null : x, y, false, v == null ? null : dW));
            calls.put("activate", () -> kernels.activate(SILU, true, pre, hidden));
            calls.put("activateBackward", () -> kernels.activateBackward(SILU, true, pre, hidden, dPre));
            return calls;
        }

        private Matrix matrix(int rows, int columns) {
            return Matrix.allocate(arena, weights.type(), rows, columns);
        }
    }
}
