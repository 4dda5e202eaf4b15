package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * What a warm layer allocates on the Java heap is its routing, the topology and gradients of both, whatever the widths of its matrices: those lie in memory that is kept.
 * Counted over all threads.
 */
class LayerAllocationTest {

    private static final int TOKENS = 203;
    private static final int EXPERTS = 24;
    private static final int TOP_K = 3;
    private static final int HIDDEN = 160;
    private static final int FFN = 96;

    /** Logits and scores in double precision; of each slot expert, weight, row and the way back. */
    private static final long DECISION = TOKENS * EXPERTS * 2L * Double.BYTES + TOKENS * TOP_K * (8L + 3 * 4);
    /** Gradients of logits and weights. */
    private static final long GRADIENTS = (TOKENS * EXPERTS + TOKENS * TOP_K) * 8L;
    /** Loads of experts, objects of a pass: less than a row of any width for each token. */
    private static final long OBJECTS = 8192;

    /** Nanoseconds of processor time until the compiler has settled. */
    private static final long PATIENCE = 20_000_000_000L;

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @Test
    void allocatesRoutingAndTopologyOnly() {
        check(MoeConfig.builder(HIDDEN, FFN, EXPERTS, ScoreRouter.softmaxTopK(TOP_K, true))
                .build());
    }

    /** Selected by score plus bias among the experts of the best groups, as in DeepSeek-V3. */
    @Test
    void biasedSelectionInGroupsAllocatesNoMore() {
        var groups = new TopKSelection.GroupLimit(4, 2, TopKSelection.GroupScore.TOP2_SUM);
        ScoreRouter router = ScoreRouter.builder(TOP_K)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(new TopKSelection(TopKSelection.By.SCORE_PLUS_BIAS, groups))
                .weightRule(WeightRule.SCORES.normalized(WeightRule.Normalization.SUM))
                .build();
        check(MoeConfig.builder(HIDDEN, FFN, EXPERTS, router)
                .selectionBias(true)
                .build());
    }

    private void check(MoeConfig config) {
        Set<Trainable> all = EnumSet.allOf(Trainable.class);
        ForwardOptions options = ForwardOptions.evaluation();
        try (Kernels kernels = Backends.byName("cpu").open(BackendOptions.threads(2));
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F32);
                MoeGradients gradients = layer.newGradients(all, ElementType.F32);
                Arena arena = Arena.ofShared()) {
            Matrix x = normal(arena, TOKENS, 1);
            Matrix y = normal(arena, TOKENS, 2);
            Matrix dX = normal(arena, TOKENS, 3);
            layer.parameters().routerWeight().copyFrom(normal(arena, EXPERTS, 4));
            check("infer", DECISION, () -> layer.infer(x, y, options));
            check("forward", DECISION, () -> layer.forward(x, y, options));
            for (MemoryPolicy policy : MemoryPolicy.values()) {
                check("forward and backward, " + policy, DECISION + GRADIENTS, () -> {
                    SavedState saved = layer.forwardTraining(x, y, options, policy, all);
                    layer.backward(saved, y, dX, gradients, List.of());
                });
            }
        }
    }

    private static Matrix normal(Arena arena, int rows, int seed) {
        Random random = new Random(seed);
        Matrix matrix = Matrix.allocate(arena, ElementType.F32, rows, HIDDEN);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < HIDDEN; j++) {
                matrix.set(i, j, random.nextGaussian());
            }
        }
        return matrix;
    }

    private void check(String name, long numbers, Runnable call) {
        long limit = numbers + OBJECTS;
        long end = threads.getCurrentThreadCpuTime() + PATIENCE;
        long least = Long.MAX_VALUE;
        while (least > limit && threads.getCurrentThreadCpuTime() < end) {
            long before = threads.getTotalThreadAllocatedBytes();
            call.run();
            least = Math.min(least, threads.getTotalThreadAllocatedBytes() - before);
        }
        assertTrue(least <= limit, "%s: %d bytes, expected %d at most".formatted(name, least, limit));
    }
}
