package dev.dropless.moe;

import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.RoutingKernels;
import dev.dropless.blocksparse.spi.RoutingRule;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.WeightRule;
import org.jspecify.annotations.Nullable;

/**
 * A layer's router as its back end's routing kernels take it.
 *
 * @param routing the kernels
 * @param elementwise elementwise work beside them
 * @param rule what they do
 * @param gating how logits become scores
 * @param weightFactor factor of the routed part that the rule's scale includes, not 0; 1 where weights go to the experts' input
 * @param frozen whether nothing flows back to the logits
 */
record DeviceRule(
        RoutingKernels routing,
        ElementwiseKernels elementwise,
        RoutingRule rule,
        Gating gating,
        double weightFactor,
        boolean frozen) {

    /**
     * A rule, or why there is none.
     *
     * @param rule the rule, or null
     * @param reason why routing is the host's task; empty where there is a rule
     */
    record Decision(@Nullable DeviceRule rule, String reason) {}

    /**
     * Decides where a layer routes.
     *
     * @param takesPlans whether its experts can be computed over a plan that the back end made
     */
    static Decision of(Kernels kernels, MoeConfig config, boolean takesPlans) {
        RoutingKernels routing = kernels.routing();
        ElementwiseKernels elementwise = kernels.elementwise();
        if (routing == null || elementwise == null) {
            return onHost("back end %s has no routing kernels".formatted(kernels.name()));
        }
        if (!takesPlans) {
            return onHost("the experts' execution takes a topology");
        }
        if (!(config.router() instanceof ScoreRouter router)) {
            return onHost(
                    "%s is no ScoreRouter".formatted(config.router().getClass().getSimpleName()));
        }
        String obstacle = obstacle(config, router);
        if (obstacle != null) {
            return onHost(obstacle);
        }
        double factor = config.weightPlacement() == WeightPlacement.OUTPUT ? config.routedFactor() : 1;
        RoutingRule rule = rule(config, router, (TopKSelection) router.selection(), factor);
        String refusal = routing.refusal(rule);
        return refusal != null
                ? onHost(refusal)
                : new Decision(
                        new DeviceRule(routing, elementwise, rule, router.gating(), factor, router.frozen()), "");
    }

    private static Decision onHost(String reason) {
        return new Decision(null, reason);
    }

    private static @Nullable String obstacle(MoeConfig config, ScoreRouter router) {
        if (!(router.selection() instanceof TopKSelection selection)) {
            return "the selection is no top-k: " + router.selection().getClass().getSimpleName();
        }
        if (router.capacity() != null) {
            return "the router drops by capacity";
        }
        if (router.randomSecondExpert()) {
            return "the second expert is kept at random";
        }
        if (config.noisyGating() || router.gating().noisy()) {
            return "the gate is noisy";
        }
        if (config.routedFactor() == 0) {
            return "the factor of the routed part is 0";
        }
        if (selection.by() == TopKSelection.By.SCORE_PLUS_BIAS && !config.selectionBias()) {
            return "the selection bias is missing";
        }
        return null;
    }

    private static RoutingRule rule(MoeConfig config, ScoreRouter router, TopKSelection selection, double factor) {
        TopKSelection.GroupLimit groups = selection.groups();
        WeightRule weights = router.weightRule();
        WeightRule.Normalization divisor = weights.normalization();
        return new RoutingRule(
                config.routedChoices(),
                config.numExperts(),
                config.topK(),
                router.gating().softCap(),
                switch (router.gating().function()) {
                    case SOFTMAX -> RoutingRule.Score.SOFTMAX;
                    case SIGMOID -> RoutingRule.Score.SIGMOID;
                    case SQRT_SOFTPLUS -> RoutingRule.Score.SQRT_SOFTPLUS;
                },
                switch (selection.by()) {
                    case SCORE -> RoutingRule.By.SCORE;
                    case LOGITS -> RoutingRule.By.LOGITS;
                    case SCORE_PLUS_BIAS -> RoutingRule.By.SCORE_PLUS_BIAS;
                },
                groups == null
                        ? null
                        : new RoutingRule.Groups(
                                groups.numGroups(),
                                groups.topGroups(),
                                groups.score() == TopKSelection.GroupScore.TOP2_SUM),
                switch (weights.source()) {
                    case SCORE -> RoutingRule.Source.SCORE;
                    case SOFTMAX_OF_SELECTED -> RoutingRule.Source.SOFTMAX_OF_SELECTED;
                    case SIGMOID_OF_SELECTED -> RoutingRule.Source.SIGMOID_OF_SELECTED;
                    case EVEN -> RoutingRule.Source.EVEN;
                },
                divisor == null ? null : new RoutingRule.Divisor(divisor.p(), divisor.epsilon(), divisor.floor()),
                weights.scale() * factor);
    }
}
