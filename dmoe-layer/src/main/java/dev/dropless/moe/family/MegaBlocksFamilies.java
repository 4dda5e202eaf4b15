package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.DOWN_BIAS;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.GATE_BIAS;
import static dev.dropless.blocksparse.WeightPart.UP;
import static dev.dropless.blocksparse.WeightPart.UP_BIAS;
import static dev.dropless.moe.family.Storage.IN_OUT;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.moe.Combination;
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
        return List.of(dmoe(), moe());
    }

    /** w = p of the selected, divided by its q-norm if {@code moe_normalize_expert_weights} is q. */
    private static Family dmoe() {
        return new DeclaredFamily(
                "megablocks_dmoe",
                PREFIX,
                s -> config(s, router(s).build()),
                MegaBlocksFamilies::dmoeLayout,
                MegaBlocksFamilies::losses);
    }

    /** As the dMoE, with {@code int(moe_capacity_factor * k * T / E)} slots per expert, served in slot order. */
    private static Family moe() {
        return new DeclaredFamily(
                "megablocks_moe",
                PREFIX,
                s -> {
                    var capacity = new CapacityRule(
                            ExpertCapacity.factor(s.number("moe_capacity_factor")),
                            CapacityRule.Scope.BATCH,
                            CapacityRule.Order.SLOT);
                    if (glu(s)) {
                        throw s.mismatch("mlp_type", "\"mlp\" in a layer with capacity", "glu");
                    }
                    return config(s, router(s).capacity(capacity).build());
                },
                (layout, s) -> {
                    layout.fused("ffn.experts.mlp.w1", IN_OUT, GATE).fused("ffn.experts.mlp.w2", IN_OUT, DOWN);
                    return around(layout, s);
                },
                MegaBlocksFamilies::losses);
    }

    private static ScoreRouter.Builder router(Settings s) {
        WeightRule rule = s.has("moe_normalize_expert_weights")
                ? WeightRule.SCORES.normalized(Normalization.norm(s.number("moe_normalize_expert_weights")))
                : WeightRule.SCORES;
        return ScoreRouter.builder(s.size("moe_top_k")).weightRule(rule);
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
        if (s.flag("shared_expert", false)) {
            // With a gate, up_proj is the factor beside it; without, it is the one projection there is.
            if (glu(s)) {
                projection(layout, "ffn.shared_expert.gate_proj", bias, GATE, GATE_BIAS);
                projection(layout, "ffn.shared_expert.up_proj", bias, UP, UP_BIAS);
            } else {
                projection(layout, "ffn.shared_expert.up_proj", bias, GATE, GATE_BIAS);
            }
            projection(layout, "ffn.shared_expert.down_proj", bias, DOWN, DOWN_BIAS);
        }
        return layout;
    }

    private static void projection(Layout layout, String name, boolean bias, WeightPart weight, WeightPart biasPart) {
        layout.shared(name + ".weight", OUT_IN, weight);
        if (bias) {
            layout.shared(name + ".bias", OUT_IN, biasPart);
        }
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
