package dev.dropless.moe.router;

import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule.Normalization;
import dev.dropless.moe.router.WeightRule.Source;
import org.jspecify.annotations.Nullable;

/**
 * Routers of the literature, each a short composition of the options of this package. Every method throws
 * {@code IllegalArgumentException} if k is below 1 or a number is out of the range of the option it goes to.
 */
public final class Routers {

    private static final WeightRule NORMALIZED = WeightRule.SCORES.normalized(Normalization.SUM);

    private Routers() {}

    /**
     * Noisy top-k gating: the k largest noisy logits, softmax over them (Shazeer et al. 2017, arXiv 1701.06538,
     * equations 3-5). The input carries the noise logits x W_noise; {@link ScoreRouter#backwardNoise} gives their
     * gradient.
     *
     * @param topK k
     * @return the router
     */
    public static ScoreRouter noisyTopK(int topK) {
        return ScoreRouter.builder(topK)
                .gating(new Gating(ScoreFunction.SOFTMAX, 0, true))
                .selection(TopKSelection.BY_LOGITS)
                .weightRule(WeightRule.SOFTMAX_OF_SELECTED)
                .build();
    }

    /**
     * GShard: top 2, weights divided by their sum before anything is dropped, in training a random second expert, first
     * choices queue before second ones (Lepikhin et al. 2020, arXiv 2006.16668, algorithm 1). The group of the paper is
     * the batch given. Capacity is floor(factor * 2 T / E).
     *
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter gshard(double capacityFactor) {
        return ScoreRouter.builder(2)
                .randomSecondExpert(true)
                .capacity(batch(capacityFactor, CapacityRule.Order.CHOICE))
                .weightRule(NORMALIZED)
                .build();
    }

    /**
     * Switch: top 1, weight p, capacity floor(factor * S / E) in each sequence (Fedus et al. 2021, arXiv 2101.03961,
     * section 2.2). The jitter on the router's input is {@link InputJitter}.
     *
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter switchTransformer(double capacityFactor) {
        var rule = new CapacityRule(
                ExpertCapacity.factor(capacityFactor), CapacityRule.Scope.SEQUENCE, CapacityRule.Order.SLOT);
        return ScoreRouter.builder(1).capacity(rule).build();
    }

    /**
     * ST-MoE: GShard's top 2 (Zoph et al. 2022, arXiv 2202.08906; capacity factor 1.25 in training and 2 in
     * evaluation), trained with the router z-loss.
     *
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter stMoe(double capacityFactor) {
        return gshard(capacityFactor);
    }

    /**
     * GLaM: top 2 with weights that sum to 1 and GShard's queues, without the random second expert (Du et al. 2021,
     * arXiv 2112.06905).
     *
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter glam(double capacityFactor) {
        return ScoreRouter.builder(2)
                .capacity(batch(capacityFactor, CapacityRule.Order.CHOICE))
                .weightRule(NORMALIZED)
                .build();
    }

    /**
     * OpenMoE: the two largest softmax scores as they are, first choices before second ones (Xue et al. 2024, arXiv
     * 2402.01739), trained with balance loss and router z-loss.
     *
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter openMoe(double capacityFactor) {
        return ScoreRouter.builder(2)
                .capacity(batch(capacityFactor, CapacityRule.Order.CHOICE))
                .build();
    }

    /**
     * V-MoE's batch prioritised routing: the k largest softmax scores as they are, the surest tokens first in every
     * queue (Riquelme et al. 2021, arXiv 2106.05974, section 4).
     *
     * @param topK k
     * @param capacityFactor capacity factor; 0 drops nothing
     * @return the router
     */
    public static ScoreRouter batchPrioritized(int topK, double capacityFactor) {
        return ScoreRouter.builder(topK)
                .capacity(batch(capacityFactor, CapacityRule.Order.PRIORITY))
                .build();
    }

    /**
     * MegaBlocks: the k largest softmax scores, divided by their norm if asked for (Gale et al. 2022, arXiv
     * 2211.15841). Without a capacity this is the dropless layer's router; with one, choices are dropped in slot order
     * and weights stay.
     *
     * @param topK k
     * @param norm order of the norm ({@code moe_normalize_expert_weights}), or 0 for none
     * @param capacity null for dropless
     * @return the router
     */
    public static ScoreRouter megaBlocks(int topK, double norm, @Nullable ExpertCapacity capacity) {
        var rule =
                capacity == null ? null : new CapacityRule(capacity, CapacityRule.Scope.BATCH, CapacityRule.Order.SLOT);
        return ScoreRouter.builder(topK)
                .capacity(rule)
                .weightRule(norm == 0 ? WeightRule.SCORES : WeightRule.SCORES.normalized(Normalization.norm(norm)))
                .build();
    }

    /**
     * Expert choice (Zhou et al. 2022, arXiv 2202.09368): see {@link ExpertChoiceSelection}, also for why it does not
     * fit causal decoders.
     *
     * @param numExperts E, which is also k
     * @param capacityFactor mean number of experts of a token
     * @return the router
     */
    public static ScoreRouter expertChoice(int numExperts, double capacityFactor) {
        return ScoreRouter.builder(numExperts)
                .selection(new ExpertChoiceSelection(capacityFactor))
                .build();
    }

    /**
     * Device-limited routing: softmax scores, experts of the {@code topDevices} devices with the best expert only
     * (DeepSeek-V2, arXiv 2405.04434, section 2.2.2).
     *
     * @param topK k
     * @param devices number of devices, divides E
     * @param topDevices devices a token may reach
     * @param scale factor on the weights
     * @return the router
     */
    public static ScoreRouter deviceLimited(int topK, int devices, int topDevices, double scale) {
        return ScoreRouter.builder(topK)
                .selection(new TopKSelection(By.SCORE, new GroupLimit(devices, topDevices, GroupScore.MAX)))
                .weightRule(WeightRule.SCORES.scaled(scale))
                .build();
    }

    /**
     * Balancing without auxiliary loss: sigmoid scores, selection by score + bias, in groups or not, weights divided by
     * their sum (DeepSeek-V3, arXiv 2412.19437, equations 12-16). {@link SelectionBias} moves the bias.
     *
     * @param topK k
     * @param groups limit, or null
     * @param scale factor on the weights
     * @return the router
     */
    public static ScoreRouter auxiliaryLossFree(int topK, @Nullable GroupLimit groups, double scale) {
        return ScoreRouter.builder(topK)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(new TopKSelection(By.SCORE_PLUS_BIAS, groups))
                .weightRule(new WeightRule(Source.SCORE, Normalization.sumPlus(1e-20), scale, false))
                .build();
    }

    /**
     * Hash layers (Roller et al. 2021, arXiv 2106.04426): experts by token id, each with weight 1/k as nothing is
     * learned.
     *
     * @param topK k, as in the table
     * @param table experts of each token id
     * @return the router
     */
    public static ScoreRouter hash(int topK, HashSelection table) {
        return evenlyWeighted(topK, table);
    }

    /**
     * Random experts, each with weight 1/k (THOR: Zuo et al. 2021, arXiv 2110.04260).
     *
     * @param topK k
     * @param seed fixes the experts
     * @return the router
     */
    public static ScoreRouter random(int topK, long seed) {
        return evenlyWeighted(topK, new RandomSelection(seed));
    }

    private static ScoreRouter evenlyWeighted(int topK, Selection selection) {
        return ScoreRouter.builder(topK)
                .selection(selection)
                .weightRule(new WeightRule(Source.EVEN, null, 1, false))
                .build();
    }

    /**
     * A router whose weight is random and never trained: the k largest logits, softmax over them, and no gradient to
     * the logits (SMoE-Dropout: Chen et al. 2023, arXiv 2303.01610, section 3). The random weight itself is the
     * layer's.
     *
     * @param topK k
     * @return the router
     */
    public static ScoreRouter frozen(int topK) {
        return ScoreRouter.builder(topK)
                .selection(TopKSelection.BY_LOGITS)
                .weightRule(WeightRule.SOFTMAX_OF_SELECTED)
                .frozen(true)
                .build();
    }

    /**
     * Token rounding (SonicMoE, arXiv 2512.14080): loads become multiples of a tile, to the nearer one, and weights are
     * the softmax scores divided by their sum.
     *
     * @param topK choices of each token before rounding
     * @param slots largest number of experts of a token after rounding
     * @param tile rows of a tile
     * @return the router
     */
    public static ScoreRouter tokenRounding(int topK, int slots, int tile) {
        return ScoreRouter.builder(slots)
                .selection(new TokenRoundingSelection(
                        TopKSelection.BY_SCORE, topK, tile, TokenRoundingSelection.Rounding.NEAREST))
                .weightRule(NORMALIZED)
                .build();
    }

    /**
     * Even loads for benchmarks: slot s goes to expert s mod E, with that expert's softmax score as weight.
     *
     * @param topK k
     * @return the router
     */
    public static ScoreRouter uniform(int topK) {
        return ScoreRouter.builder(topK).selection(new UniformSelection()).build();
    }

    private static @Nullable CapacityRule batch(double factor, CapacityRule.Order order) {
        return factor == 0 ? null : new CapacityRule(ExpertCapacity.factor(factor), CapacityRule.Scope.BATCH, order);
    }
}
