package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.DOWN_BIAS;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.GATE_BIAS;
import static dev.dropless.moe.family.Parameter.Group.ROUTER;
import static dev.dropless.moe.family.Parameter.Group.ROUTER_BIAS;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.Activation;
import dev.dropless.moe.Jitter;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.NllbBalancingLoss;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.loss.SwitchBalancingLoss;
import dev.dropless.moe.router.CapacityRule;
import dev.dropless.moe.router.CapacityRule.Order;
import dev.dropless.moe.router.CapacityRule.Scope;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.List;
import java.util.Map;

/** Families of transformers whose own routing drops tokens beyond a capacity. */
final class CapacityFamilies {

    /** Smallest divisor of NLLB's weights: the rounding unit of the single precision its router works in. */
    private static final double FLOAT_EPSILON = 0x1p-23;

    private CapacityFamilies() {}

    static List<Family> all() {
        return List.of(switchTransformers(), nllb());
    }

    /** Top 1, w = p, the first {@code expert_capacity} tokens of each expert in each sequence (arXiv 2101.03961, section 2.2). */
    private static Family switchTransformers() {
        return DeclaredFamily.of(
                        "switch_transformers",
                        s -> {
                            s.only("router_ignore_padding_tokens", false);
                            var capacity = ExpertCapacity.fixed(s.size("expert_capacity"));
                            var router = ScoreRouter.builder(1)
                                    .capacity(new CapacityRule(capacity, Scope.SEQUENCE, Order.SLOT))
                                    .build();
                            return MoeConfig.builder(s.size("d_model"), s.size("d_ff"), s.size("num_experts"), router)
                                    .gated(false)
                                    .activation(s.activation("dense_act_fn", Activation.Function.RELU))
                                    .routerBias(s.flag("router_bias", false))
                                    .inputJitter(new Jitter(s.number("router_jitter_noise", 0), Jitter.Scope.ROUTER))
                                    .build();
                        },
                        (layout, s) -> router(layout, s, "mlp.router.classifier.")
                                .perExpert("mlp.experts.expert_{}.wi.weight", OUT_IN, GATE)
                                .perExpert("mlp.experts.expert_{}.wo.weight", OUT_IN, DOWN))
                .prefix("encoder.block.{}.layer.1.")
                .losses(s -> Map.<String, AuxiliaryLoss>of(
                        "load_balancing_loss", new SwitchBalancingLoss(1), "router_z_loss", new RouterZLoss(1)))
                .example(
                        "d_model",
                        8,
                        "d_ff",
                        12,
                        "num_experts",
                        4,
                        "expert_capacity",
                        64,
                        "dense_act_fn",
                        "relu",
                        "router_bias",
                        false,
                        "router_jitter_noise",
                        0.01,
                        "router_ignore_padding_tokens",
                        false);
    }

    /**
     * Top 2 of the whole batch, first choices before second ones, another capacity in training than in evaluation (arXiv 2207.04672,
     * section 6.2). Of {@code moe_token_dropout}, which drops whole expert outputs in training, the layer computes the mean in both modes.
     */
    private static Family nllb() {
        return DeclaredFamily.of(
                        "nllb_moe",
                        s -> MoeConfig.builder(
                                        s.size("d_model"),
                                        s.size("encoder_ffn_dim"),
                                        s.size("num_experts"),
                                        nllbRouter(s))
                                .gated(false)
                                .expertBiases(true, true)
                                .activation(s.activation("activation_function"))
                                .routerBias(s.flag("router_bias", false))
                                .routedScale(1 - s.number("moe_token_dropout", 0))
                                .build(),
                        (layout, s) -> router(layout, s, "ffn.router.classifier.")
                                .perExpert("ffn.experts.expert_{}.fc1.weight", OUT_IN, GATE)
                                .perExpert("ffn.experts.expert_{}.fc1.bias", OUT_IN, GATE_BIAS)
                                .perExpert("ffn.experts.expert_{}.fc2.weight", OUT_IN, DOWN)
                                .perExpert("ffn.experts.expert_{}.fc2.bias", OUT_IN, DOWN_BIAS))
                .prefix("model.encoder.layers.{}.")
                .losses(s -> Map.of("load_balancing_loss", new NllbBalancingLoss(1)))
                .example(
                        "d_model",
                        8,
                        "encoder_ffn_dim",
                        12,
                        "num_experts",
                        4,
                        "activation_function",
                        "relu",
                        "router_bias",
                        false,
                        "second_expert_policy",
                        "all",
                        "batch_prioritized_routing",
                        false,
                        "normalize_router_prob_before_dropping",
                        false,
                        "moe_eval_capacity_token_fraction",
                        1.0,
                        "expert_capacity",
                        64,
                        "moe_token_dropout",
                        0.2,
                        "router_ignore_padding_tokens",
                        false);
    }

    private static ScoreRouter nllbRouter(Settings s) {
        s.only("router_ignore_padding_tokens", false);
        boolean before = s.flag("normalize_router_prob_before_dropping");
        WeightRule rule = WeightRule.SCORES.normalized(Normalization.sumAtLeast(FLOAT_EPSILON));
        return ScoreRouter.builder(2)
                .randomSecondExpert(randomSecond(s))
                .capacity(new CapacityRule(
                        evaluationCapacity(s),
                        trainingCapacity(s),
                        Scope.BATCH,
                        s.flag("batch_prioritized_routing") ? Order.PRIORITY : Order.CHOICE))
                .weightRule(before ? rule : rule.afterDropping())
                .build();
    }

    private static boolean randomSecond(Settings s) {
        String policy = s.text("second_expert_policy");
        return switch (policy) {
            case "all" -> false;
            case "random" -> true;
            default -> throw s.mismatch("second_expert_policy", "all or random", policy);
        };
    }

    private static ExpertCapacity trainingCapacity(Settings s) {
        int slots = s.count("expert_capacity");
        return slots > 0 ? ExpertCapacity.fixed(slots) : ExpertCapacity.meanLoad(2);
    }

    private static ExpertCapacity evaluationCapacity(Settings s) {
        double fraction = s.number("moe_eval_capacity_token_fraction");
        return fraction > 0 ? ExpertCapacity.tokenFraction(fraction) : trainingCapacity(s);
    }

    private static Layout router(Layout layout, Settings s, String name) {
        layout.matrix(name + "weight", ROUTER);
        return s.flag("router_bias", false) ? layout.vector(name + "bias", ROUTER_BIAS) : layout;
    }
}
