package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.DOWN_BIAS;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.GATE_BIAS;
import static dev.dropless.blocksparse.WeightPart.UP;
import static dev.dropless.blocksparse.WeightPart.UP_BIAS;
import static dev.dropless.moe.family.Parameter.Group.OUTPUT_BIAS;
import static dev.dropless.moe.family.Parameter.Group.ROUTER;
import static dev.dropless.moe.family.Parameter.Group.ROUTER_BIAS;
import static dev.dropless.moe.family.Storage.IN_OUT;
import static dev.dropless.moe.family.Storage.IN_OUT_INTERLEAVED;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.Activation;
import dev.dropless.moe.Combination;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.WeightPlacement;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.List;

/** Families that choose the k largest logits first and make weights of those alone, by softmax or sigmoid. Experts are gated, often fused into one tensor. */
final class LogitFamilies {

    private LogitFamilies() {}

    static List<Family> all() {
        return List.of(granite(), graniteShared(), jetmoe(), aria(), gptOss(), llama4(), cohere2());
    }

    private static MoeConfig.Builder softmaxOfTopK(Settings s) {
        int experts = s.size("num_local_experts");
        var router = Common.softmaxOfTopK(s.topK("num_experts_per_tok", experts));
        return Common.experts(s, s.size("intermediate_size"), experts, router);
    }

    /** The first half of the rows of input_linear is the gate (Granite 3.0 MoE). */
    private static Layout graniteExperts(Layout layout, String scope) {
        return layout.matrix(scope + "router.layer.weight", ROUTER)
                .fused(scope + "input_linear.weight", OUT_IN, GATE, UP)
                .fused(scope + "output_linear.weight", OUT_IN, DOWN);
    }

    private static Family granite() {
        return DeclaredFamily.of(
                        "granitemoe",
                        s -> softmaxOfTopK(s).build(),
                        (layout, s) -> graniteExperts(layout, "block_sparse_moe."))
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
                        "silu");
    }

    /** Granite with a shared expert whose projections are fused, too; it may be absent. */
    private static Family graniteShared() {
        return DeclaredFamily.of(
                        "granitemoeshared",
                        s -> Common.shared(softmaxOfTopK(s), s, s.count("shared_intermediate_size"))
                                .build(),
                        (layout, s) -> {
                            graniteExperts(layout, "block_sparse_moe.");
                            return s.count("shared_intermediate_size") == 0
                                    ? layout
                                    : layout.shared("shared_mlp.input_linear.weight", OUT_IN, GATE, UP)
                                            .shared("shared_mlp.output_linear.weight", OUT_IN, DOWN);
                        })
                .losses(Common::loadBalancing)
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "shared_intermediate_size",
                        10,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "hidden_act",
                        "silu");
    }

    /** Granite's experts, and a bias on every token's output (JetMoE, arXiv 2404.07413). */
    private static Family jetmoe() {
        return DeclaredFamily.of(
                        "jetmoe",
                        s -> softmaxOfTopK(s.orElse("hidden_act", s.text("activation_function")))
                                .outputBias(true)
                                .build(),
                        (layout, s) -> graniteExperts(layout, "mlp.").vector("mlp.bias", OUTPUT_BIAS))
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
                        "activation_function",
                        "silu");
    }

    /** Experts stored [in, out], and shared experts that are one of their sizes together (Aria, arXiv 2410.05993). */
    private static Family aria() {
        return DeclaredFamily.of(
                        "aria_text",
                        s -> {
                            s.only("mlp_bias", false);
                            int experts = s.size("moe_num_experts");
                            int width = s.size("intermediate_size");
                            var router = Common.softmaxOfTopK(s.topK("moe_topk", experts));
                            return Common.shared(
                                            Common.experts(s, width, experts, router),
                                            s,
                                            s.count("moe_num_shared_experts") * width)
                                    .build();
                        },
                        (layout, s) -> layout.matrix("mlp.router.weight", ROUTER)
                                .fused("mlp.experts.fc1.weight", IN_OUT, GATE, UP)
                                .fused("mlp.experts.fc2.weight", IN_OUT, DOWN)
                                .shared("mlp.shared_experts."))
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "moe_num_experts",
                        4,
                        "moe_topk",
                        2,
                        "moe_num_shared_experts",
                        2,
                        "mlp_bias",
                        false,
                        "hidden_act",
                        "silu");
    }

    /** Biases everywhere, gate and up interleaved, (b + 1) * a * sigmoid(1.702 a) with clamped a and b (arXiv 2508.10925). */
    private static Family gptOss() {
        return DeclaredFamily.of(
                        "gpt_oss",
                        s -> {
                            s.only("hidden_act", "silu");
                            double limit = s.number("swiglu_limit", 7);
                            double alpha = s.number("swiglu_alpha", 1.702);
                            return softmaxOfTopK(s)
                                    .activation(new Activation(Activation.Function.SILU, alpha, limit, limit, 1))
                                    .routerBias(true)
                                    .expertBiases(true, true)
                                    .build();
                        },
                        (layout, s) -> layout.matrix("mlp.router.weight", ROUTER)
                                .vector("mlp.router.bias", ROUTER_BIAS)
                                .fused("mlp.experts.gate_up_proj", IN_OUT_INTERLEAVED, GATE, UP)
                                .fused("mlp.experts.gate_up_proj_bias", IN_OUT_INTERLEAVED, GATE_BIAS, UP_BIAS)
                                .fused("mlp.experts.down_proj", IN_OUT, DOWN)
                                .fused("mlp.experts.down_proj_bias", IN_OUT, DOWN_BIAS))
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
                        "swiglu_limit",
                        7.0,
                        "swiglu_alpha",
                        1.702,
                        "hidden_act",
                        "silu");
    }

    /** w = sigmoid of the selected logits, multiplied into the experts' input (Llama 4). */
    private static Family llama4() {
        return DeclaredFamily.of(
                        "llama4_text",
                        s -> {
                            int experts = s.size("num_local_experts");
                            int width = s.size("intermediate_size");
                            var router = ScoreRouter.builder(s.topK("num_experts_per_tok", experts))
                                    .selection(TopKSelection.BY_LOGITS)
                                    .weightRule(WeightRule.SIGMOID_OF_SELECTED)
                                    .build();
                            var layer =
                                    Common.experts(s, width, experts, router).weightPlacement(WeightPlacement.INPUT);
                            return Common.shared(layer, s, width).build();
                        },
                        (layout, s) -> layout.matrix("feed_forward.router.weight", ROUTER)
                                .fused("feed_forward.experts.gate_up_proj", IN_OUT, GATE, UP)
                                .fused("feed_forward.experts.down_proj", IN_OUT, DOWN)
                                .shared("feed_forward.shared_expert."))
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        1,
                        "hidden_act",
                        "silu");
    }

    /** Softmax or sigmoid over the selected; routed and shared part added or averaged (Cohere 2 MoE). */
    private static Family cohere2() {
        return DeclaredFamily.of(
                        "cohere2_moe",
                        s -> {
                            int experts = s.size("num_experts");
                            int width = s.size("intermediate_size");
                            var router = ScoreRouter.builder(s.topK("num_experts_per_tok", experts))
                                    .selection(TopKSelection.BY_LOGITS)
                                    .weightRule(cohereWeights(s))
                                    .build();
                            var layer = Common.experts(s, width, experts, router);
                            int shared = s.count("num_shared_experts");
                            return shared == 0
                                    ? layer.build()
                                    : layer.shared(Common.gated(s, shared * width, false), cohereCombination(s))
                                            .build();
                        },
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_experts."))
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "num_shared_experts",
                        1,
                        "shared_expert_combination_strategy",
                        "average",
                        "expert_selection_fn",
                        "sigmoid",
                        "norm_topk_prob",
                        true,
                        "hidden_act",
                        "silu");
    }

    private static WeightRule cohereWeights(Settings s) {
        String function = s.text("expert_selection_fn");
        WeightRule rule = switch (function) {
            case "softmax" -> WeightRule.SOFTMAX_OF_SELECTED;
            case "sigmoid" -> WeightRule.SIGMOID_OF_SELECTED;
            default -> throw s.mismatch("expert_selection_fn", "softmax or sigmoid", function);
        };
        return rule.normalized(s.flag("norm_topk_prob") ? Normalization.SUM : null);
    }

    private static Combination cohereCombination(Settings s) {
        String strategy = s.text("shared_expert_combination_strategy");
        return switch (strategy) {
            case "sum" -> Combination.SUM;
            case "average" -> Combination.AVERAGE;
            default -> throw s.mismatch("shared_expert_combination_strategy", "sum or average", strategy);
        };
    }
}
