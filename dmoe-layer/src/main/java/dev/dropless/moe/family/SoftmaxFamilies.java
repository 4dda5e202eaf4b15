package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN_BIAS;
import static dev.dropless.blocksparse.WeightPart.GATE_BIAS;
import static dev.dropless.blocksparse.WeightPart.UP_BIAS;
import static dev.dropless.moe.family.Parameter.Group.ROUTER;
import static dev.dropless.moe.family.Parameter.Group.SELECTION_BIAS;
import static dev.dropless.moe.family.Parameter.Group.SHARED_GATE;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.Combination;
import dev.dropless.moe.Jitter;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.SparseMixerRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.List;

/**
 * Families of Hugging Face transformers (4.57) that choose the k experts of largest softmax probability p = softmax(z), and whose experts are gated.
 */
final class SoftmaxFamilies {

    private SoftmaxFamilies() {}

    static List<Family> all() {
        return List.of(
                mixtralLike("mixtral"),
                mixtralLike("minimax"),
                phimoe(),
                olmoeLike("olmoe", "intermediate_size"),
                olmoeLike("flex_olmo", "intermediate_size"),
                olmoeLike("qwen3_moe", "moe_intermediate_size"),
                gatedShared("qwen2_moe"),
                gatedShared("qwen3_next"),
                jamba(),
                hunyuan(),
                ernie());
    }

    /** w = p of the selected over their sum (Mixtral, arXiv 2401.04088, section 2.1). */
    private static Family mixtralLike(String name) {
        return DeclaredFamily.of(
                        name,
                        s -> {
                            int experts = s.size("num_local_experts");
                            var router = ScoreRouter.softmaxTopK(s.topK("num_experts_per_tok", experts), true);
                            return Common.experts(s, s.size("intermediate_size"), experts, router)
                                    .inputJitter(new Jitter(s.number("router_jitter_noise", 0), Jitter.Scope.LAYER))
                                    .build();
                        },
                        (layout, s) -> layout.matrix("block_sparse_moe.gate.weight", ROUTER)
                                .numberedExperts("block_sparse_moe.experts.{}."))
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "hidden_act",
                        "silu",
                        "router_jitter_noise",
                        0.0);
    }

    /** Mixtral with the sampling router SparseMixer-v2 (arXiv 2409.12136); in training, an expert is drawn at random. */
    private static Family phimoe() {
        return DeclaredFamily.of(
                        "phimoe",
                        s -> {
                            s.only("num_experts_per_tok", 2);
                            var router = new SparseMixerRouter(s.number("router_jitter_noise"));
                            return Common.experts(s, s.size("intermediate_size"), s.size("num_local_experts"), router)
                                    .inputJitter(new Jitter(s.number("input_jitter_noise", 0), Jitter.Scope.LAYER))
                                    .build();
                        },
                        (layout, s) -> layout.matrix("block_sparse_moe.gate.weight", ROUTER)
                                .numberedExperts("block_sparse_moe.experts.{}."))
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "hidden_act",
                        "silu",
                        "router_jitter_noise",
                        0.01,
                        "input_jitter_noise",
                        0.0);
    }

    /** w = p of the selected, divided by their sum only if {@code norm_topk_prob} (OLMoE, arXiv 2409.02060; Qwen3, arXiv 2505.09388). */
    private static Family olmoeLike(String name, String widthKey) {
        return DeclaredFamily.of(
                        name,
                        s -> softmax(s, s.size(widthKey)).build(),
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER).experts("mlp.experts.{}."))
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        widthKey,
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "norm_topk_prob",
                        false,
                        "hidden_act",
                        "silu");
    }

    /** OLMoE's routing, and a shared expert multiplied by sigmoid(x ws^T) (Qwen2, arXiv 2407.10671, section 2.2.2). */
    private static Family gatedShared(String name) {
        return DeclaredFamily.of(
                        name,
                        s -> softmax(s, s.size("moe_intermediate_size"))
                                .shared(
                                        Common.gated(s, s.size("shared_expert_intermediate_size"), true),
                                        Combination.SUM)
                                .build(),
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_expert.")
                                .matrix("mlp.shared_expert_gate.weight", SHARED_GATE))
                .losses(Common::loadBalancing)
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
                        "norm_topk_prob",
                        false,
                        "hidden_act",
                        "silu");
    }

    private static MoeConfig.Builder softmax(Settings s, int ffnHiddenSize) {
        int experts = s.size("num_experts");
        var router = ScoreRouter.softmaxTopK(s.topK("num_experts_per_tok", experts), s.flag("norm_topk_prob"));
        return Common.experts(s, ffnHiddenSize, experts, router);
    }

    /** w = p of the selected, never divided (Jamba, arXiv 2403.19887). */
    private static Family jamba() {
        return DeclaredFamily.of(
                        "jamba",
                        s -> {
                            int experts = s.size("num_experts");
                            var router = ScoreRouter.softmaxTopK(s.topK("num_experts_per_tok", experts), false);
                            return Common.experts(s, s.size("intermediate_size"), experts, router)
                                    .build();
                        },
                        (layout, s) -> layout.matrix("feed_forward.router.weight", ROUTER)
                                .experts("feed_forward.experts.{}."))
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "hidden_act",
                        "silu");
    }

    /** Mixtral's routing, and a shared expert of the experts' size (Hunyuan). */
    private static Family hunyuan() {
        return DeclaredFamily.of(
                        "hunyuan_v1_moe",
                        s -> {
                            int experts = s.size("num_experts");
                            int width = s.size("intermediate_size");
                            var router = ScoreRouter.softmaxTopK(s.topK("moe_topk", experts), true);
                            return Common.shared(Common.experts(s, width, experts, router), s, width)
                                    .build();
                        },
                        (layout, s) -> layout.matrix("mlp.gate.wg.weight", ROUTER)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_mlp."))
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "moe_topk",
                        2,
                        "hidden_act",
                        "silu");
    }

    /** Selected by p + bias, w = p of the selected / max(their sum, {@code moe_norm_min}); biases on all projections if {@code use_bias}. */
    private static Family ernie() {
        return DeclaredFamily.of(
                        "ernie4_5_moe",
                        s -> {
                            int experts = s.size("moe_num_experts");
                            int width = s.size("moe_intermediate_size");
                            boolean bias = s.flag("use_bias");
                            var router = ScoreRouter.builder(s.topK("moe_k", experts))
                                    .selection(TopKSelection.BY_SCORE_PLUS_BIAS)
                                    .weightRule(WeightRule.SCORES.normalized(
                                            Normalization.sumAtLeast(s.number("moe_norm_min"))))
                                    .build();
                            var layer = Common.experts(s, width, experts, router)
                                    .selectionBias(true)
                                    .expertBiases(bias, bias);
                            int shared = s.count("moe_num_shared_experts");
                            if (shared > 0) {
                                int hidden = s.size("hidden_size");
                                var shape = new ExpertShape(1, hidden, shared * width, true, bias, bias);
                                layer.shared(
                                        new SharedExpert(shape, s.activation("hidden_act"), false), Combination.SUM);
                            }
                            return layer.build();
                        },
                        (layout, s) -> {
                            layout.matrix("mlp.gate.weight", ROUTER)
                                    .matrix("mlp.moe_statics.e_score_correction_bias", SELECTION_BIAS)
                                    .experts("mlp.experts.{}.")
                                    .shared("mlp.shared_experts.");
                            return !s.flag("use_bias")
                                    ? layout
                                    : layout.perExpert("mlp.experts.{}.gate_proj.bias", OUT_IN, GATE_BIAS)
                                            .perExpert("mlp.experts.{}.up_proj.bias", OUT_IN, UP_BIAS)
                                            .perExpert("mlp.experts.{}.down_proj.bias", OUT_IN, DOWN_BIAS);
                        })
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "moe_num_experts",
                        4,
                        "moe_k",
                        2,
                        "moe_num_shared_experts",
                        2,
                        "moe_norm_min",
                        1e-12,
                        "use_bias",
                        true,
                        "hidden_act",
                        "silu");
    }
}
