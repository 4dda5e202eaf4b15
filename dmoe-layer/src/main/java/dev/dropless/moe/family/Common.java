package dev.dropless.moe.family;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.Combination;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.LoadBalancingLoss;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the declarations of several families have in common. */
final class Common {

    /** The k largest logits, softmax over those. */
    static ScoreRouter softmaxOfTopK(int topK) {
        return ScoreRouter.builder(topK)
                .selection(TopKSelection.BY_LOGITS)
                .weightRule(WeightRule.SOFTMAX_OF_SELECTED)
                .build();
    }

    private Common() {}

    /** Experts of {@code hidden_size} and {@code hidden_act}. */
    static MoeConfig.Builder experts(Settings s, int ffnHiddenSize, int numExperts, Router router) {
        return MoeConfig.builder(s.size("hidden_size"), ffnHiddenSize, numExperts, router)
                .activation(s.activation("hidden_act"));
    }

    /** A gated shared expert of {@code hidden_size} and {@code hidden_act}, added as it is; none of size 0. */
    static MoeConfig.Builder shared(MoeConfig.Builder layer, Settings s, int ffnHiddenSize) {
        return ffnHiddenSize == 0 ? layer : layer.shared(gated(s, ffnHiddenSize, false), Combination.SUM);
    }

    /** A gated expert of {@code hidden_size} and {@code hidden_act}. */
    static SharedExpert gated(Settings s, int ffnHiddenSize, boolean sigmoidGate) {
        var shape = new ExpertShape(1, s.size("hidden_size"), ffnHiddenSize, true, false, false);
        return new SharedExpert(shape, s.activation("hidden_act"), sigmoidGate);
    }

    /** Weights as they are, or divided by their sum + epsilon. */
    static @Nullable Normalization sumIf(boolean normalized, double epsilon) {
        return normalized ? Normalization.sumPlus(epsilon) : null;
    }

    /** The limit of {@code n_group} and {@code topk_group}; null for one group. */
    static @Nullable GroupLimit groups(Settings s, int numExperts, int topK, GroupScore score) {
        int groups = s.size("n_group", 1);
        int best = s.size("topk_group", groups);
        if (groups == 1) {
            s.only("topk_group", 1);
            return null;
        }
        int size = numExperts / groups;
        int smallest = score == GroupScore.TOP2_SUM ? 2 : 1;
        if (numExperts % groups != 0 || size < smallest) {
            String expected = "a divisor of the %d experts, with groups of %d or more".formatted(numExperts, smallest);
            throw s.mismatch("n_group", expected, groups);
        }
        if (best > groups || best * size < topK) {
            String expected = "at most n_group = %d, with %d experts or more".formatted(groups, topK);
            throw s.mismatch("topk_group", expected, best);
        }
        return new GroupLimit(groups, best, score);
    }

    /** The loss of transformers' {@code load_balancing_loss_func}, with coefficient 1. */
    static Map<String, AuxiliaryLoss> loadBalancing(Settings s) {
        return Map.of("load_balancing_loss", new LoadBalancingLoss(1));
    }
}
