package dev.dropless.moe;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.Activation.Function;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import java.util.LinkedHashMap;
import java.util.Map;

/** One configuration for every option of the layer, and some with all of them. Sizes are awkward on purpose. */
public final class Configs {

    static final int HIDDEN = 5;
    static final int FFN = 3;

    private Configs() {}

    public static Router softmax(int topK) {
        return ScoreRouter.softmaxTopK(topK, false);
    }

    static Router sigmoid(int topK, boolean biased) {
        return ScoreRouter.builder(topK)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(new TopKSelection(biased ? TopKSelection.By.SCORE_PLUS_BIAS : TopKSelection.By.SCORE, null))
                .build();
    }

    static SharedExpert shared(boolean gated, boolean biases, boolean sigmoidGate) {
        return new SharedExpert(
                new ExpertShape(1, HIDDEN, 4, gated, biases, biases), Activation.of(Function.SILU), sigmoidGate);
    }

    private static MoeConfig.Builder builder(int experts, Router router) {
        return MoeConfig.builder(HIDDEN, FFN, experts, router);
    }

    public static Map<String, MoeConfig> all() {
        Map<String, MoeConfig> all = new LinkedHashMap<>();
        plain(all);
        routedOptions(all);
        sharedOptions(all);
        combined(all);
        return all;
    }

    private static void plain(Map<String, MoeConfig> all) {
        all.put("gated silu, top 2 of 4", builder(4, softmax(2)).build());
        all.put(
                "normalised weights",
                builder(4, ScoreRouter.softmaxTopK(3, true)).build());
        for (Function function : Function.values()) {
            all.put(
                    function + ", plain, biases",
                    builder(3, softmax(2))
                            .gated(false)
                            .expertBiases(true, true)
                            .activation(Activation.of(function))
                            .build());
        }
        all.put(
                "input biases only",
                builder(3, softmax(2)).expertBiases(true, false).build());
        all.put(
                "clamps and offset",
                builder(4, softmax(2))
                        .expertBiases(true, true)
                        .routerBias(true)
                        .activation(new Activation(Function.SILU, 1.702, 0.9, 0.7, 1))
                        .build());
        all.put("one expert", builder(1, softmax(1)).build());
        all.put("k = E", builder(4, softmax(4)).build());
        all.put("more experts than slots", builder(23, softmax(1)).build());
    }

    private static void routedOptions(Map<String, MoeConfig> all) {
        all.put("router bias", builder(4, softmax(2)).routerBias(true).build());
        all.put(
                "selection bias",
                builder(6, sigmoid(2, true)).selectionBias(true).build());
        all.put(
                "weights on input",
                builder(4, sigmoid(1, false))
                        .weightPlacement(WeightPlacement.INPUT)
                        .build());
        all.put(
                "weights on input, scaled",
                builder(4, sigmoid(3, false))
                        .weightPlacement(WeightPlacement.INPUT)
                        .expertBiases(true, true)
                        .routedScale(0.7)
                        .build());
        all.put(
                "identity experts",
                builder(3, softmax(2)).identityExperts(3).routedScale(1.5).build());
        all.put("latent", builder(4, softmax(2)).latentSize(7).gated(false).build());
        all.put("output bias", builder(4, softmax(2)).outputBias(true).build());
        all.put("scale", builder(4, softmax(2)).routedScale(0.8).build());
        all.put(
                "capacity in the router",
                builder(4, Routers.megaBlocks(2, 1, ExpertCapacity.factor(0.6))).build());
        all.put(
                "noisy gating",
                builder(5, Routers.noisyTopK(2))
                        .noisyGating(true)
                        .inputJitter(new Jitter(0.1, Jitter.Scope.ROUTER))
                        .build());
        all.put(
                "switch",
                builder(4, Routers.switchTransformer(0.8)).routerBias(true).build());
        all.put(
                "jitter of the router",
                builder(4, softmax(2))
                        .inputJitter(new Jitter(0.1, Jitter.Scope.ROUTER))
                        .build());
        all.put(
                "jitter of the layer",
                builder(4, softmax(2))
                        .inputJitter(new Jitter(0.2, Jitter.Scope.LAYER))
                        .build());
    }

    private static void sharedOptions(Map<String, MoeConfig> all) {
        all.put(
                "shared",
                builder(4, softmax(2))
                        .shared(shared(true, false, false), Combination.SUM)
                        .build());
        all.put(
                "shared, plain with biases, averaged",
                builder(4, softmax(2))
                        .shared(shared(false, true, false), Combination.AVERAGE)
                        .build());
        all.put(
                "shared, weighted sum, output bias",
                builder(4, softmax(3))
                        .shared(shared(true, true, false), Combination.WEIGHTED_BY_EXPERTS)
                        .outputBias(true)
                        .build());
        all.put(
                "shared behind a gate",
                builder(4, softmax(2))
                        .shared(shared(true, false, true), Combination.SUM)
                        .build());
        all.put(
                "shared behind a gate, averaged",
                builder(4, softmax(2))
                        .shared(shared(true, true, true), Combination.AVERAGE)
                        .build());
    }

    private static void combined(Map<String, MoeConfig> all) {
        for (WeightPlacement placement : WeightPlacement.values()) {
            for (Jitter.Scope scope : Jitter.Scope.values()) {
                all.put(
                        "everything, %s, %s".formatted(placement, scope),
                        builder(4, sigmoid(3, true))
                                .expertBiases(true, true)
                                .routerBias(true)
                                .selectionBias(true)
                                .weightPlacement(placement)
                                .identityExperts(2)
                                .latentSize(4)
                                .shared(shared(true, true, true), Combination.WEIGHTED_BY_EXPERTS)
                                .outputBias(true)
                                .routedScale(1.3)
                                .inputJitter(new Jitter(0.15, scope))
                                .build());
            }
        }
    }
}
