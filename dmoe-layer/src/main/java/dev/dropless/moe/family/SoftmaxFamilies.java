package dev.dropless.moe.family;

import static dev.dropless.blocksparse.WeightPart.DOWN;
import static dev.dropless.blocksparse.WeightPart.GATE;
import static dev.dropless.blocksparse.WeightPart.UP;
import static dev.dropless.moe.family.Storage.OUT_IN;

import dev.dropless.moe.Jitter;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.family.Parameter.Group;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.LoadBalancingLoss;
import dev.dropless.moe.router.ScoreRouter;
import java.util.List;
import java.util.Map;

/**
 * Families of Hugging Face transformers that choose the k experts of largest softmax probability, and whose experts are gated. Source: the classes
 * {@code MixtralSparseMoeBlock}, {@code OlmoeSparseMoeBlock} and {@code Qwen3MoeSparseMoeBlock} of transformers 4.57.
 */
final class SoftmaxFamilies {

    private static final String PREFIX = "model.layers.{}.";

    private SoftmaxFamilies() {}

    static List<Family> all() {
        return List.of(mixtral(), olmoe(), qwen3Moe());
    }

    /** w = softmax over the selected, that is p / sum of the selected p (Mixtral, arXiv 2401.04088, section 2.1). */
    private static Family mixtral() {
        return new DeclaredFamily(
                "mixtral",
                PREFIX,
                s -> MoeConfig.builder(
                                s.size("hidden_size"),
                                s.size("intermediate_size"),
                                s.size("num_local_experts"),
                                ScoreRouter.softmaxTopK(s.size("num_experts_per_tok"), true))
                        .activation(s.activation("hidden_act"))
                        .inputJitter(new Jitter(s.number("router_jitter_noise", 0), Jitter.Scope.LAYER))
                        .build(),
                (layout, s) -> layout.matrix("block_sparse_moe.gate.weight", Group.ROUTER)
                        .perExpert("block_sparse_moe.experts.{}.w1.weight", OUT_IN, GATE)
                        .perExpert("block_sparse_moe.experts.{}.w3.weight", OUT_IN, UP)
                        .perExpert("block_sparse_moe.experts.{}.w2.weight", OUT_IN, DOWN),
                SoftmaxFamilies::loadBalancing);
    }

    /** w = p of the selected, divided by their sum only if {@code norm_topk_prob} (OLMoE, arXiv 2409.02060). */
    private static Family olmoe() {
        return new DeclaredFamily(
                "olmoe",
                PREFIX,
                s -> olmoeLike(s, s.size("intermediate_size")),
                (layout, s) -> projections(layout),
                SoftmaxFamilies::loadBalancing);
    }

    /** As OLMoE, with a size of its own for the experts. */
    private static Family qwen3Moe() {
        return new DeclaredFamily(
                "qwen3_moe",
                PREFIX,
                s -> olmoeLike(s, s.size("moe_intermediate_size")),
                (layout, s) -> projections(layout),
                SoftmaxFamilies::loadBalancing);
    }

    private static MoeConfig olmoeLike(Settings s, int ffnHiddenSize) {
        return MoeConfig.builder(
                        s.size("hidden_size"),
                        ffnHiddenSize,
                        s.size("num_experts"),
                        ScoreRouter.softmaxTopK(s.size("num_experts_per_tok"), s.flag("norm_topk_prob")))
                .activation(s.activation("hidden_act"))
                .build();
    }

    private static Layout projections(Layout layout) {
        return layout.matrix("mlp.gate.weight", Group.ROUTER)
                .perExpert("mlp.experts.{}.gate_proj.weight", OUT_IN, GATE)
                .perExpert("mlp.experts.{}.up_proj.weight", OUT_IN, UP)
                .perExpert("mlp.experts.{}.down_proj.weight", OUT_IN, DOWN);
    }

    private static Map<String, AuxiliaryLoss> loadBalancing(Settings s) {
        return Map.of("load_balancing_loss", new LoadBalancingLoss(1));
    }
}
