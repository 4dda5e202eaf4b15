package dev.dropless.moe.router;

import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/** Seeded inputs and one router for every option and for every combination that a known model uses. */
public final class RouterCases {

    /** Experts of {@link #input}. */
    public static final int EXPERTS = 12;

    private RouterCases() {}

    /** Standard normal numbers times a factor. */
    public static double[] normal(int count, double scale, long seed) {
        var random = new SplittableRandom(seed);
        var numbers = new double[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = scale * random.nextGaussian();
        }
        return numbers;
    }

    /** A training input of 2 x 7 tokens and 12 experts with everything any router asks for. */
    public static RouterInput input(double[] logits, double[] noiseLogits) {
        int tokens = logits.length / EXPERTS;
        var ids = new int[tokens];
        for (int t = 0; t < tokens; t++) {
            ids[t] = t * 3 % 5;
        }
        return RouterInput.builder(logits, tokens, EXPERTS)
                .shape(2, tokens / 2)
                .selectionBias(normal(EXPERTS, 0.3, 17))
                .noiseLogits(noiseLogits)
                .tokenIds(ids)
                .training(true)
                .noise(RouterNoise.seeded(29))
                .build();
    }

    /** {@link #input} with seeded numbers. */
    public static RouterInput input() {
        return input(normal(14 * EXPERTS, 1.5, 3), normal(14 * EXPERTS, 1, 5));
    }

    /** Every composition by name. */
    public static Map<String, Router> all() {
        var routers = new LinkedHashMap<String, Router>();
        var sum = Normalization.SUM;
        routers.put("softmax", ScoreRouter.softmaxTopK(3, false));
        routers.put("softmax, sum", ScoreRouter.softmaxTopK(3, true));
        routers.put("softmax, k = E", ScoreRouter.softmaxTopK(EXPERTS, true));
        routers.put("softmax, L2", Routers.megaBlocks(4, 2, null));
        routers.put("softmax, L3.5", Routers.megaBlocks(4, 3.5, null));
        routers.put("sum + eps", scores(2, WeightRule.SCORES.normalized(Normalization.sumPlus(0.05))));
        routers.put("floor below", scores(2, WeightRule.SCORES.normalized(Normalization.sumAtLeast(1e-3))));
        routers.put("floor above", scores(2, WeightRule.SCORES.normalized(Normalization.sumAtLeast(2))));
        routers.put("scaled", scores(2, WeightRule.SCORES.normalized(sum).scaled(2.5)));
        routers.put("logits, softmax of selected", byLogits(WeightRule.SOFTMAX_OF_SELECTED));
        routers.put("logits, sigmoid of selected", byLogits(WeightRule.SIGMOID_OF_SELECTED));
        routers.put("logits, sigmoid, sum", byLogits(WeightRule.SIGMOID_OF_SELECTED.normalized(sum)));
        for (ScoreFunction function : ScoreFunction.values()) {
            routers.put("biased " + function, biased(new Gating(function, 0, false), null));
            routers.put("capped " + function, biased(new Gating(function, 1.3, false), null));
        }
        routers.put("groups by max", Routers.deviceLimited(3, 4, 2, 16));
        routers.put("groups by two", Routers.auxiliaryLossFree(3, new GroupLimit(4, 2, GroupScore.TOP2_SUM), 2.5));
        routers.put("noisy", Routers.noisyTopK(3));
        routers.put("noisy, capped, sigmoid", biased(new Gating(ScoreFunction.SIGMOID, 2, true), null));
        routers.put("gshard", Routers.gshard(1));
        routers.put("gshard after dropping", afterDropping(CapacityRule.Order.CHOICE));
        routers.put("prioritised after dropping", afterDropping(CapacityRule.Order.PRIORITY));
        routers.put("glam", Routers.glam(0.7));
        routers.put("openmoe", Routers.openMoe(0.7));
        routers.put("prioritised", Routers.batchPrioritized(2, 0.7));
        routers.put("switch", Routers.switchTransformer(1));
        routers.put("megablocks with capacity", Routers.megaBlocks(2, 1, ExpertCapacity.factor(0.8)));
        routers.put("softmax of kept", keptSoftmax());
        routers.put("expert choice", Routers.expertChoice(EXPERTS, 2));
        routers.put("token rounding", Routers.tokenRounding(2, 4, 4));
        routers.put("hash", Routers.hash(2, HashSelection.random(5, 2, EXPERTS, 1)));
        routers.put("hash with scores", hashWithScores());
        routers.put("random", Routers.random(2, 4));
        routers.put("uniform", Routers.uniform(2));
        routers.put("sequence", new SequenceRouter(ScoreRouter.softmaxTopK(3, true)));
        routers.put("noisy sequence", new SequenceRouter(Routers.noisyTopK(3)));
        return routers;
    }

    private static ScoreRouter scores(int topK, WeightRule rule) {
        return ScoreRouter.builder(topK).weightRule(rule).build();
    }

    private static ScoreRouter byLogits(WeightRule rule) {
        return ScoreRouter.builder(3)
                .selection(TopKSelection.BY_LOGITS)
                .weightRule(rule)
                .build();
    }

    private static ScoreRouter biased(Gating gating, GroupLimit groups) {
        return ScoreRouter.builder(3)
                .gating(gating)
                .selection(new TopKSelection(By.SCORE_PLUS_BIAS, groups))
                .weightRule(WeightRule.SCORES.normalized(Normalization.sumPlus(1e-20)))
                .build();
    }

    private static ScoreRouter afterDropping(CapacityRule.Order order) {
        return ScoreRouter.builder(2)
                .randomSecondExpert(true)
                .capacity(new CapacityRule(ExpertCapacity.meanLoad(1), CapacityRule.Scope.BATCH, order))
                .weightRule(WeightRule.SCORES
                        .normalized(Normalization.sumAtLeast(1e-16))
                        .afterDropping())
                .build();
    }

    private static ScoreRouter keptSoftmax() {
        return ScoreRouter.builder(3)
                .selection(TopKSelection.BY_LOGITS)
                .capacity(
                        new CapacityRule(ExpertCapacity.fixed(2), CapacityRule.Scope.SEQUENCE, CapacityRule.Order.SLOT))
                .weightRule(WeightRule.SOFTMAX_OF_SELECTED.afterDropping())
                .build();
    }

    private static ScoreRouter hashWithScores() {
        return ScoreRouter.builder(2)
                .gating(Gating.of(ScoreFunction.SQRT_SOFTPLUS))
                .selection(HashSelection.balanced(new long[] {9, 1, 4, 4, 2}, 2, EXPERTS))
                .weightRule(WeightRule.SCORES
                        .normalized(Normalization.sumPlus(1e-20))
                        .scaled(1.5))
                .build();
    }
}
