package dev.dropless.moe.family;

import static dev.dropless.moe.family.Parameter.Group.ROUTER;
import static dev.dropless.moe.family.Parameter.Group.SELECTION_BIAS;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Families that choose the k largest of sigmoid(z) + bias, weigh by sigmoid(z) without the bias, and have gated experts. */
final class SigmoidFamilies {

    private SigmoidFamilies() {}

    static List<Family> all() {
        return List.of(minimaxM2(), afmoe(), lfm2(), hunyuanV3(), laguna());
    }

    private static MoeConfig.Builder sigmoid(
            Settings s, double softCap, TopKSelection selection, @Nullable Normalization normalization, double scale) {
        int experts = s.size(s.has("num_local_experts") && !s.has("num_experts") ? "num_local_experts" : "num_experts");
        int width = s.size(s.has("moe_intermediate_size") ? "moe_intermediate_size" : "intermediate_size");
        var router = ScoreRouter.builder(s.topK("num_experts_per_tok", experts))
                .gating(new Gating(ScoreFunction.SIGMOID, softCap, false))
                .selection(selection)
                .weightRule(WeightRule.SCORES.normalized(normalization).scaled(scale))
                .build();
        return Common.experts(s, width, experts, router)
                .selectionBias(selection.equals(TopKSelection.BY_SCORE_PLUS_BIAS));
    }

    /** Weights divided by their sum (MiniMax-M2). */
    private static Family minimaxM2() {
        return DeclaredFamily.of(
                        "minimax_m2",
                        s -> {
                            s.only("scoring_func", "sigmoid");
                            s.only("use_routing_bias", true);
                            return sigmoid(s, 0, TopKSelection.BY_SCORE_PLUS_BIAS, Normalization.SUM, 1)
                                    .build();
                        },
                        (layout, s) -> layout.matrix("block_sparse_moe.gate.weight", ROUTER)
                                .vector("block_sparse_moe.e_score_correction_bias", SELECTION_BIAS)
                                .numberedExperts("block_sparse_moe.experts.{}."))
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "scoring_func",
                        "sigmoid",
                        "use_routing_bias",
                        true,
                        "hidden_act",
                        "silu");
    }

    /** Weights divided by their sum, times {@code route_scale}, and a shared expert (AFMoE). */
    private static Family afmoe() {
        return DeclaredFamily.of(
                        "afmoe",
                        s -> {
                            s.only("score_func", "sigmoid");
                            s.only("n_group", 1);
                            var norm = Common.sumIf(s.flag("route_norm"), 1e-20);
                            var layer = sigmoid(s, 0, TopKSelection.BY_SCORE_PLUS_BIAS, norm, s.number("route_scale"));
                            int shared = s.count("num_shared_experts") * s.size("moe_intermediate_size");
                            return Common.shared(layer, s, shared).build();
                        },
                        (layout, s) -> layout.matrix("mlp.router.gate.weight", ROUTER)
                                .vector("mlp.expert_bias", SELECTION_BIAS)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_experts."))
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "num_shared_experts",
                        1,
                        "score_func",
                        "sigmoid",
                        "n_group",
                        1,
                        "route_norm",
                        true,
                        "route_scale",
                        2.448,
                        "hidden_act",
                        "silu");
    }

    /** The bias is an option, and so is the division by sum + 1e-6 (LFM2). */
    private static Family lfm2() {
        return DeclaredFamily.of(
                        "lfm2_moe",
                        s -> sigmoid(
                                        s.orElse("hidden_act", "silu"),
                                        0,
                                        s.flag("use_expert_bias")
                                                ? TopKSelection.BY_SCORE_PLUS_BIAS
                                                : TopKSelection.BY_SCORE,
                                        Common.sumIf(s.flag("norm_topk_prob"), 1e-6),
                                        s.number("routed_scaling_factor"))
                                .build(),
                        (layout, s) -> {
                            layout.matrix("feed_forward.gate.weight", ROUTER)
                                    .numberedExperts("feed_forward.experts.{}.");
                            return s.flag("use_expert_bias")
                                    ? layout.vector("feed_forward.expert_bias", SELECTION_BIAS)
                                    : layout;
                        })
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "use_expert_bias",
                        true,
                        "norm_topk_prob",
                        true,
                        "routed_scaling_factor",
                        1.0);
    }

    /** As AFMoE, with other names (Hunyuan V3). */
    private static Family hunyuanV3() {
        return DeclaredFamily.of(
                        "hy_v3",
                        s -> {
                            s.only("mlp_bias", false);
                            var layer = sigmoid(
                                    s,
                                    0,
                                    TopKSelection.BY_SCORE_PLUS_BIAS,
                                    Normalization.sumPlus(1e-20),
                                    s.number("router_scaling_factor"));
                            int shared = s.count("num_shared_experts") * s.size("moe_intermediate_size");
                            return Common.shared(layer, s, shared).build();
                        },
                        (layout, s) -> layout.matrix("mlp.router.gate.weight", ROUTER)
                                .vector("mlp.expert_bias", SELECTION_BIAS)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_mlp."))
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "num_shared_experts",
                        1,
                        "mlp_bias",
                        false,
                        "router_scaling_factor",
                        2.826,
                        "hidden_act",
                        "silu");
    }

    /** Logits capped by c * tanh(z / c) first (Laguna). */
    private static Family laguna() {
        return DeclaredFamily.of(
                        "laguna",
                        s -> {
                            var layer = sigmoid(
                                    s,
                                    s.number("moe_router_logit_softcapping", 0),
                                    TopKSelection.BY_SCORE_PLUS_BIAS,
                                    Normalization.SUM,
                                    s.number("moe_routed_scaling_factor"));
                            return Common.shared(layer, s, s.size("shared_expert_intermediate_size"))
                                    .build();
                        },
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER)
                                .vector("mlp.experts.e_score_correction_bias", SELECTION_BIAS)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_expert."))
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "shared_expert_intermediate_size",
                        10,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "moe_router_logit_softcapping",
                        3.0,
                        "moe_routed_scaling_factor",
                        2.0,
                        "hidden_act",
                        "silu");
    }
}
