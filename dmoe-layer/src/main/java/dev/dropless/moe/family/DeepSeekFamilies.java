package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.UP;
import static dev.dropless.moe.family.Parameter.Group.LATENT_IN;
import static dev.dropless.moe.family.Parameter.Group.LATENT_OUT;
import static dev.dropless.moe.family.Parameter.Group.ROUTER;
import static dev.dropless.moe.family.Parameter.Group.ROUTER_BIAS;
import static dev.dropless.moe.family.Parameter.Group.SELECTION_BIAS;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.Combination;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.DeepSeekBalancingLoss;
import dev.dropless.moe.loss.DeepSeekBalancingLoss.Variant;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.HashSelection;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.Selection;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** DeepSeek's models from V2 on, and those that took over their routing. */
final class DeepSeekFamilies {

    private static final double EPSILON = 1e-20;

    private DeepSeekFamilies() {}

    static List<Family> all() {
        return List.of(
                v2("deepseek_v2", false),
                v2("deepseek_v2_remote", true),
                v3("deepseek_v3"),
                v3("glm4_moe"),
                v3("dots1"),
                v3("glm_moe_dsa"),
                v4(),
                nemotron(),
                longcat());
    }

    /**
     * Softmax scores, experts of the best groups by their best expert, w = p * scale (arXiv 2405.04434, section 2.2). transformers never
     * divides by the sum, so its variant refuses {@code norm_topk_prob}; DeepSeek's own code (remote) then divides and does not scale.
     */
    private static Family v2(String name, boolean remote) {
        DeclaredFamily family = DeclaredFamily.of(
                        name,
                        s -> {
                            s.only("scoring_func", "softmax");
                            if (!remote) {
                                s.only("norm_topk_prob", false);
                            }
                            int experts = s.size("n_routed_experts");
                            int topK = s.topK("num_experts_per_tok", experts);
                            boolean normalized = remote && topK > 1 && s.flag("norm_topk_prob");
                            var rule = normalized
                                    ? WeightRule.SCORES.normalized(Common.sumIf(true, EPSILON))
                                    : WeightRule.SCORES.scaled(s.number("routed_scaling_factor"));
                            var router = ScoreRouter.builder(topK)
                                    .selection(new TopKSelection(By.SCORE, v2Groups(s, experts, topK)))
                                    .weightRule(rule)
                                    .build();
                            return withShared(s, Common.experts(s, s.size("moe_intermediate_size"), experts, router));
                        },
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_experts."))
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "n_routed_experts",
                        4,
                        "n_shared_experts",
                        2,
                        "num_experts_per_tok",
                        2,
                        "topk_method",
                        "group_limited_greedy",
                        "n_group",
                        2,
                        "topk_group",
                        1,
                        "scoring_func",
                        "softmax",
                        "norm_topk_prob",
                        false,
                        "routed_scaling_factor",
                        16.0,
                        "aux_loss_alpha",
                        0.001,
                        "seq_aux",
                        true,
                        "hidden_act",
                        "silu");
        return remote ? family.losses(DeepSeekFamilies::v2Loss) : family;
    }

    private static @Nullable GroupLimit v2Groups(Settings s, int experts, int topK) {
        return switch (s.text("topk_method")) {
            case "greedy" -> null;
            case "group_limited_greedy" -> Common.groups(s, experts, topK, GroupScore.MAX);
            default -> throw s.mismatch("topk_method", "greedy or group_limited_greedy", s.text("topk_method"));
        };
    }

    private static Map<String, AuxiliaryLoss> v2Loss(Settings s) {
        Variant variant = s.flag("seq_aux", true) ? Variant.V2_SEQUENCE : Variant.V2_BATCH;
        return Map.of("balance_loss", new DeepSeekBalancingLoss(s.number("aux_loss_alpha"), variant));
    }

    /** The shared experts are one of their sizes together. */
    private static MoeConfig withShared(Settings s, MoeConfig.Builder layer) {
        return Common.shared(layer, s, s.count("n_shared_experts") * s.size("moe_intermediate_size"))
                .build();
    }

    /** Sigmoid scores, selection by score + bias within the best groups by their two best (arXiv 2412.19437, section 2.1.2). */
    private static Family v3(String name) {
        return DeclaredFamily.of(
                        name,
                        s -> {
                            s.only("topk_method", "noaux_tc");
                            int experts = s.size("n_routed_experts");
                            return withShared(
                                    s,
                                    Common.experts(s, s.size("moe_intermediate_size"), experts, v3Router(s, experts))
                                            .selectionBias(true));
                        },
                        (layout, s) -> layout.matrix("mlp.gate.weight", ROUTER)
                                .vector("mlp.gate.e_score_correction_bias", SELECTION_BIAS)
                                .experts("mlp.experts.{}.")
                                .shared("mlp.shared_experts."))
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "n_routed_experts",
                        4,
                        "n_shared_experts",
                        1,
                        "num_experts_per_tok",
                        2,
                        "topk_method",
                        "noaux_tc",
                        "n_group",
                        2,
                        "topk_group",
                        1,
                        "scoring_func",
                        "sigmoid",
                        "norm_topk_prob",
                        true,
                        "routed_scaling_factor",
                        2.5,
                        "hidden_act",
                        "silu");
    }

    private static ScoreRouter v3Router(Settings s, int experts) {
        s.only("scoring_func", "sigmoid");
        int topK = s.topK("num_experts_per_tok", experts);
        return ScoreRouter.builder(topK)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(new TopKSelection(By.SCORE_PLUS_BIAS, Common.groups(s, experts, topK, GroupScore.TOP2_SUM)))
                .weightRule(WeightRule.SCORES
                        .normalized(Common.sumIf(s.flag("norm_topk_prob"), EPSILON))
                        .scaled(s.number("routed_scaling_factor")))
                .build();
    }

    /** Scores sqrt(softplus(z)), clamped experts, and layers that look their experts up by token id (DeepSeek-V4). */
    private static Family v4() {
        String bias = "mlp.gate.e_score_correction_bias";
        String table = "mlp.gate.tid2eid";
        return DeclaredFamily.of(
                        "deepseek_v4",
                        (s, tables) -> {
                            s.only("scoring_func", "sqrtsoftplus");
                            boolean hash = hashed(s, tables.has(table));
                            int experts = s.size("num_local_experts");
                            int topK = s.topK("num_experts_per_tok", experts);
                            int vocabulary = s.size("vocab_size");
                            Selection selection = hash
                                    ? new HashSelection(tables.table(table, vocabulary, topK), vocabulary, topK)
                                    : TopKSelection.BY_SCORE_PLUS_BIAS;
                            var router = ScoreRouter.builder(topK)
                                    .gating(Gating.of(ScoreFunction.SQRT_SOFTPLUS))
                                    .selection(selection)
                                    .weightRule(WeightRule.SCORES
                                            .normalized(Common.sumIf(true, EPSILON))
                                            .scaled(s.number("routed_scaling_factor")))
                                    .build();
                            s.only("hidden_act", "silu");
                            int width = s.size("intermediate_size");
                            double limit = s.number("swiglu_limit");
                            var layer = Common.experts(s, width, experts, router)
                                    .activation(new Activation(Activation.Function.SILU, 1, limit, limit, 0))
                                    .selectionBias(!hash);
                            return Common.shared(layer, s, width).build();
                        },
                        (layout, s) -> {
                            boolean hash = layout.config().router() instanceof ScoreRouter router
                                    && router.selection() instanceof HashSelection;
                            return (hash ? layout.hashTable(table) : layout.vector(bias, SELECTION_BIAS))
                                    .matrix("mlp.gate.weight", ROUTER)
                                    .fused("mlp.experts.gate_up_proj", OUT_IN, GATE, UP)
                                    .fused("mlp.experts.down_proj", OUT_IN, DOWN)
                                    .shared("mlp.shared_experts.");
                        })
                .example(
                        "hidden_size",
                        8,
                        "intermediate_size",
                        12,
                        "num_local_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "mlp_layer_types",
                        List.of("moe"),
                        "vocab_size",
                        32,
                        "scoring_func",
                        "sqrtsoftplus",
                        "routed_scaling_factor",
                        1.5,
                        "swiglu_limit",
                        10.0,
                        "hidden_act",
                        "silu");
    }

    /** Whether a layer is one with a table, which tensors and {@code mlp_layer_types} must agree on. */
    private static boolean hashed(Settings s, boolean table) {
        List<String> types = s.texts("mlp_layer_types");
        String expected = table ? "hash_moe" : "moe";
        if (!types.isEmpty() && !types.contains(expected)) {
            throw s.mismatch(
                    "mlp_layer_types",
                    "\"%s\" among them, as the layer has %s tid2eid table".formatted(expected, table ? "a" : "no"),
                    types);
        }
        return table;
    }

    /** DeepSeek-V3's routing of experts without a gate, relu(x)^2, that may work in a smaller, latent space (Nemotron-H). */
    private static Family nemotron() {
        return DeclaredFamily.of(
                        "nemotron_h",
                        s -> {
                            int experts = s.size("n_routed_experts");
                            int hidden = s.size("hidden_size");
                            var activation = s.activation("mlp_hidden_act");
                            s.only("mlp_bias", false);
                            int width = s.size("moe_shared_expert_intermediate_size");
                            var shared = new ExpertShape(1, hidden, width, false, false, false);
                            return MoeConfig.builder(
                                            hidden, s.size("moe_intermediate_size"), experts, v3Router(s, experts))
                                    .gated(false)
                                    .activation(activation)
                                    .selectionBias(true)
                                    .latentSize(s.count("moe_latent_size"))
                                    .shared(new SharedExpert(shared, activation, false), Combination.SUM)
                                    .build();
                        },
                        (layout, s) -> {
                            layout.matrix("mixer.gate.weight", ROUTER)
                                    .vector("mixer.gate.e_score_correction_bias", SELECTION_BIAS)
                                    .perExpert("mixer.experts.{}.up_proj.weight", OUT_IN, GATE)
                                    .perExpert("mixer.experts.{}.down_proj.weight", OUT_IN, DOWN)
                                    .shared("mixer.shared_experts.");
                            return s.count("moe_latent_size") == 0
                                    ? layout
                                    : layout.matrix("mixer.fc1_latent_proj.weight", LATENT_IN)
                                            .matrix("mixer.fc2_latent_proj.weight", LATENT_OUT);
                        })
                .prefix("backbone.layers.{}.")
                .example(
                        "hidden_size",
                        8,
                        "moe_intermediate_size",
                        12,
                        "moe_shared_expert_intermediate_size",
                        10,
                        "moe_latent_size",
                        6,
                        "n_routed_experts",
                        4,
                        "num_experts_per_tok",
                        2,
                        "n_group",
                        2,
                        "topk_group",
                        1,
                        "scoring_func",
                        "sigmoid",
                        "norm_topk_prob",
                        true,
                        "routed_scaling_factor",
                        2.5,
                        "mlp_hidden_act",
                        "relu2",
                        "mlp_bias",
                        false);
    }

    /** Softmax over experts and identity experts, selection by p + bias, w = p * scale (LongCat-Flash, arXiv 2509.01322, section 2.1). */
    private static Family longcat() {
        return DeclaredFamily.of(
                        "longcat_flash",
                        s -> {
                            s.only("zero_expert_type", "identity");
                            int experts = s.size("n_routed_experts");
                            int identity = s.count("zero_expert_num");
                            var router = ScoreRouter.builder(s.topK("moe_topk", experts + identity))
                                    .selection(TopKSelection.BY_SCORE_PLUS_BIAS)
                                    .weightRule(WeightRule.SCORES.scaled(s.number("routed_scaling_factor")))
                                    .build();
                            return Common.experts(s, s.size("expert_ffn_hidden_size"), experts, router)
                                    .identityExperts(identity)
                                    .selectionBias(true)
                                    .routerBias(s.flag("router_bias", false))
                                    .build();
                        },
                        (layout, s) -> {
                            layout.matrix("mlp.router.classifier.weight", ROUTER)
                                    .vector("mlp.router.e_score_correction_bias", SELECTION_BIAS)
                                    .experts("mlp.experts.{}.");
                            return s.flag("router_bias", false)
                                    ? layout.vector("mlp.router.classifier.bias", ROUTER_BIAS)
                                    : layout;
                        })
                .example(
                        "hidden_size",
                        8,
                        "expert_ffn_hidden_size",
                        12,
                        "n_routed_experts",
                        4,
                        "zero_expert_num",
                        2,
                        "zero_expert_type",
                        "identity",
                        "moe_topk",
                        2,
                        "routed_scaling_factor",
                        6.0,
                        "router_bias",
                        false,
                        "hidden_act",
                        "silu");
    }
}
