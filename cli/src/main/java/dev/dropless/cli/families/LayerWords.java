package dev.dropless.cli.families;

import dev.dropless.blocksparse.Activation;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.WeightPlacement;
import dev.dropless.moe.router.CapacityRule;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What a layer computes, in words. */
record LayerWords(MoeConfig config) {

    String score() {
        if (!(config.router() instanceof ScoreRouter router)) {
            return "masked softmax";
        }
        String name = switch (router.gating().function()) {
            case SOFTMAX -> "softmax";
            case SIGMOID -> "sigmoid";
            case SQRT_SOFTPLUS -> "sqrt(softplus)";
        };
        return router.gating().softCap() > 0 ? name + " of capped" : name;
    }

    String selection() {
        if (!(config.router() instanceof ScoreRouter router)) {
            return "SparseMixer, top 2 one by one";
        }
        List<String> words = new ArrayList<>();
        if (router.selection() instanceof TopKSelection topK) {
            words.add("top k of "
                    + switch (topK.by()) {
                        case SCORE -> "score";
                        case LOGITS -> "logit";
                        case SCORE_PLUS_BIAS -> "score + bias";
                    });
            if (topK.groups() != null) {
                words.add("in best groups by "
                        + switch (topK.groups().score()) {
                            case MAX -> "max";
                            case TOP2_SUM -> "top-2 sum";
                        });
            }
        } else {
            words.add("by token id");
        }
        CapacityRule capacity = router.capacity();
        if (capacity != null) {
            words.add("capacity per " + capacity.scope().name().toLowerCase(Locale.ROOT) + ", "
                    + switch (capacity.order()) {
                        case SLOT -> "in slot order";
                        case CHOICE -> "first choices first";
                        case PRIORITY -> "surest tokens first";
                    });
        }
        return String.join(", ", words);
    }

    String weights() {
        if (!(config.router() instanceof ScoreRouter router)) {
            return "score";
        }
        WeightRule rule = router.weightRule();
        String source = switch (rule.source()) {
            case SCORE -> "score";
            case SOFTMAX_OF_SELECTED -> "softmax of selected";
            case SIGMOID_OF_SELECTED -> "sigmoid of selected";
            case EVEN -> "1/k";
        };
        String scale = rule.scale() == 1 && config.routedScale() == 1 ? "" : " * scale";
        return source + divisor(rule.normalization()) + scale;
    }

    private static String divisor(@Nullable Normalization by) {
        if (by == null) {
            return "";
        }
        String norm = by.p() == 1 ? "sum" : String.format(Locale.ROOT, "%s-norm", by.p());
        return by.floor() > 0 ? " / max(" + norm + ", floor)" : " / " + norm;
    }

    String experts() {
        List<String> words = new ArrayList<>();
        words.add((config.experts().gated() ? "gated " : "plain ") + function(config.activation()));
        if (config.experts().inputBias() || config.experts().outputBias()) {
            words.add("biases");
        }
        if (config.weightPlacement() == WeightPlacement.INPUT) {
            words.add("weight on input");
        }
        if (config.identityExperts() > 0) {
            words.add("identity experts");
        }
        if (config.hasLatent()) {
            words.add("latent space");
        }
        if (config.outputBias()) {
            words.add("output bias");
        }
        return String.join(", ", words);
    }

    String shared() {
        SharedExpert shared = config.shared();
        if (shared == null) {
            return "none";
        }
        String form = (shared.shape().gated() ? "gated " : "plain ") + function(shared.activation());
        String gate = shared.sigmoidGate() ? " * sigmoid gate" : "";
        return form
                + gate
                + switch (config.combination()) {
                    case SUM -> "";
                    case AVERAGE -> ", averaged";
                    case WEIGHTED_BY_EXPERTS -> ", weighted by experts";
                };
    }

    private static String function(Activation activation) {
        String name = switch (activation.function()) {
            case IDENTITY -> "identity";
            case RELU -> "relu";
            case RELU_SQUARED -> "relu^2";
            case SILU -> "silu";
            case GELU_TANH -> "gelu (tanh)";
            case GELU_ERF -> "gelu (erf)";
        };
        return Double.isInfinite(activation.upLimit()) ? name : name + ", clamped";
    }
}
