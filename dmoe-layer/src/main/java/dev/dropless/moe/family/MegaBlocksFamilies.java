package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.UP;
import static dev.dropless.moe.family.Storage.IN_OUT;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.Combination;
import dev.dropless.moe.Jitter;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.family.Parameter.Group;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.MegaBlocksBalancingLoss;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.router.CapacityRule;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The layers of MegaBlocks (arXiv 2211.15841) as DBRX-style checkpoints store them: the dropless dMoE, and the MoE with a capacity. */
final class MegaBlocksFamilies {

    private static final String PREFIX = "transformer.blocks.{}.";

    private MegaBlocksFamilies() {}

    static List<Family> all() {
        return List.of(dmoe(), moe(), dbrx());
    }

    /** w = p of the selected, divided by its q-norm if {@code moe_normalize_expert_weights} is q. */
    private static Family dmoe() {
        return DeclaredFamily.of("megablocks_dmoe", s -> config(s, router(s).build()), MegaBlocksFamilies::dmoeLayout)
                .prefix(PREFIX)
                .losses(MegaBlocksFamilies::losses)
                .example(
                        "hidden_size",
                        8,
                        "ffn_hidden_size",
                        12,
                        "moe_num_experts",
                        4,
                        "moe_top_k",
                        2,
                        "mlp_type",
                        "glu",
                        "activation",
                        "gelu_tanh",
                        "moe_normalize_expert_weights",
                        1.0,
                        "bias",
                        true,
                        "shared_expert",
                        true,
                        "shared_expert_hidden_size",
                        10,
                        "shared_expert_weighted_sum",
                        true,
                        "moe_loss_weight",
                        0.1,
                        "moe_zloss_weight",
                        0.001,
                        "num_layers",
                        1);
    }

    /** As the dMoE, with {@code int(moe_capacity_factor * k * T / E)} slots per expert, served in slot order. */
    private static Family moe() {
        return DeclaredFamily.of(
                        "megablocks_moe",
                        s -> {
                            if (glu(s)) {
                                throw s.mismatch("mlp_type", "\"mlp\" in a layer with capacity", "glu");
                            }
                            var capacity = ExpertCapacity.factor(s.number("moe_capacity_factor"));
                            return config(
                                    s,
                                    router(s)
                                            .capacity(new CapacityRule(
                                                    capacity, CapacityRule.Scope.BATCH, CapacityRule.Order.SLOT))
                                            .build());
                        },
                        (layout, s) -> around(
                                layout.fused("ffn.experts.mlp.w1", IN_OUT, GATE)
                                        .fused("ffn.experts.mlp.w2", IN_OUT, DOWN),
                                s))
                .prefix(PREFIX)
                .losses(MegaBlocksFamilies::losses)
                .example(
                        "hidden_size",
                        8,
                        "ffn_hidden_size",
                        12,
                        "moe_num_experts",
                        4,
                        "moe_top_k",
                        2,
                        "moe_capacity_factor",
                        1.25,
                        "mlp_type",
                        "mlp",
                        "activation",
                        "gelu_tanh",
                        "moe_normalize_expert_weights",
                        null,
                        "bias",
                        false,
                        "shared_expert",
                        true,
                        "shared_expert_hidden_size",
                        10,
                        "shared_expert_weighted_sum",
                        false,
                        "moe_loss_weight",
                        0.1,
                        "moe_zloss_weight",
                        0.0,
                        "num_layers",
                        1);
    }

    /** The dMoE with gated experts as transformers has it, its options under {@code ffn_config}. */
    private static Family dbrx() {
        return DeclaredFamily.of(
                        "dbrx",
                        s -> {
                            Settings ffn = s.section("ffn_config");
                            double jitter = ffn.number("moe_jitter_eps", 0);
                            return MoeConfig.builder(
                                            s.size("d_model"),
                                            ffn.size("ffn_hidden_size"),
                                            ffn.size("moe_num_experts"),
                                            router(ffn).build())
                                    .activation(ffn.section("ffn_act_fn").activation("name"))
                                    .inputJitter(new Jitter(jitter, Jitter.Scope.ROUTER))
                                    .build();
                        },
                        (layout, s) -> layout.matrix("ffn.router.layer.weight", Group.ROUTER)
                                .stacked("ffn.experts.mlp.w1", OUT_IN, GATE)
                                .stacked("ffn.experts.mlp.v1", OUT_IN, UP)
                                .stacked("ffn.experts.mlp.w2", IN_OUT, DOWN))
                .prefix(PREFIX)
                .losses(Common::loadBalancing)
                .example(
                        "d_model",
                        8,
                        "ffn_config",
                        DeclaredFamily.keys(
                                "ffn_hidden_size",
                                12,
                                "moe_num_experts",
                                4,
                                "moe_top_k",
                                2,
                                "moe_normalize_expert_weights",
                                1.0,
                                "moe_jitter_eps",
                                0.01,
                                "ffn_act_fn",
                                DeclaredFamily.keys("name", "silu")));
    }

    private static ScoreRouter.Builder router(Settings s) {
        WeightRule rule = s.has("moe_normalize_expert_weights")
                ? WeightRule.SCORES.normalized(Normalization.norm(s.number("moe_normalize_expert_weights")))
                : WeightRule.SCORES;
        return ScoreRouter.builder(s.topK("moe_top_k", s.size("moe_num_experts")))
                .weightRule(rule);
    }

    private static MoeConfig config(Settings s, ScoreRouter router) {
        int hiddenSize = s.size("hidden_size");
        var builder = MoeConfig.builder(hiddenSize, s.size("ffn_hidden_size"), s.size("moe_num_experts"), router)
                .activation(s.activation("activation"))
                .gated(glu(s))
                .outputBias(s.flag("bias", false));
        if (s.flag("shared_expert", false)) {
            boolean bias = s.flag("bias", false);
            int width = s.size("shared_expert_hidden_size", s.size("ffn_hidden_size"));
            var shape = new ExpertShape(1, hiddenSize, width, glu(s), bias, bias);
            builder.shared(
                    new SharedExpert(shape, s.activation("activation"), false),
                    s.flag("shared_expert_weighted_sum", false) ? Combination.WEIGHTED_BY_EXPERTS : Combination.SUM);
        }
        return builder.build();
    }

    private static boolean glu(Settings s) {
        String type = s.text("mlp_type");
        if (!type.equals("mlp") && !type.equals("glu")) {
            throw s.mismatch("mlp_type", "\"mlp\" or \"glu\"", type);
        }
        return type.equals("glu");
    }

    private static Layout dmoeLayout(Layout layout, Settings s) {
        layout.stacked("ffn.experts.mlp.w1", OUT_IN, GATE).stacked("ffn.experts.mlp.w2", IN_OUT, DOWN);
        if (glu(s)) {
            layout.stacked("ffn.experts.mlp.v1", OUT_IN, UP);
        }
        return around(layout, s);
    }

    /** Router, output bias and shared expert. */
    private static Layout around(Layout layout, Settings s) {
        layout.matrix("ffn.router.layer.weight", Group.ROUTER);
        boolean bias = s.flag("bias", false);
        if (bias) {
            layout.vector("ffn.experts.bias", Group.OUTPUT_BIAS);
        }
        return layout.shared("ffn.shared_expert.");
    }

    private static Map<String, AuxiliaryLoss> losses(Settings s) {
        Map<String, AuxiliaryLoss> losses = new LinkedHashMap<>();
        losses.put(
                "load_balancing_loss",
                new MegaBlocksBalancingLoss(s.number("moe_loss_weight"), s.size("num_layers", 1)));
        if (s.number("moe_zloss_weight", 0) > 0) {
            losses.put("router_z_loss", new RouterZLoss(s.number("moe_zloss_weight")));
        }
        return losses;
    }
}
