package dev.dropless.moe.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.moe.loss.DeepSeekBalancingLoss.Variant;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.RouterCases;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.SequenceRouter;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Central differences against the gradients, through the router where a loss looks at the combine weights. */
class LossGradientTest {

    private static final double STEP = 1e-6;
    /** Truncation and rounding are of the order of 1e-10 for losses and slopes of order 1. */
    private static final double TOLERANCE = 2e-8;

    static Stream<Arguments> cases() {
        var routers = new ArrayList<Router>(List.of(
                ScoreRouter.softmaxTopK(3, true),
                Routers.gshard(0.7),
                Routers.switchTransformer(1),
                Routers.noisyTopK(2),
                new SequenceRouter(Routers.auxiliaryLossFree(2, null, 1)),
                new SequenceRouter(Routers.noisyTopK(2))));
        for (ScoreFunction function : ScoreFunction.values()) {
            routers.add(ScoreRouter.builder(2)
                    .gating(new Gating(function, 1.7, false))
                    .build());
        }
        List<AuxiliaryLoss> losses = List.of(
                new LoadBalancingLoss(0.7),
                new MegaBlocksBalancingLoss(0.3, 2),
                new RouterZLoss(0.2),
                new SwitchBalancingLoss(0.5),
                new NllbBalancingLoss(0.5),
                new DeepSeekBalancingLoss(0.5, Variant.V2_BATCH),
                new DeepSeekBalancingLoss(0.5, Variant.V2_SEQUENCE),
                new DeepSeekBalancingLoss(0.5, Variant.V3_SEQUENCE),
                new ImportanceLoss(0.4));
        var cases = new ArrayList<Arguments>();
        for (int r = 0; r < routers.size(); r++) {
            for (AuxiliaryLoss loss : losses) {
                cases.add(Arguments.of(r, loss, routers.get(r)));
            }
        }
        cases.add(Arguments.of(-1, new LoadLoss(0.6), Routers.noisyTopK(2)));
        cases.add(Arguments.of(-2, new LoadLoss(0.6), Routers.noisyTopK(1)));
        return cases.stream();
    }

    @ParameterizedTest(name = "router {0}, {1}")
    @MethodSource("cases")
    void logits(int number, AuxiliaryLoss loss, Router router) {
        RouterInput input = RouterCases.input();
        double[] noise = RouterCases.normal(input.logits().length, 1, 5);
        Routing routing = router.route(input);
        LossValue value = loss.evaluate(routing);
        double[] actual = value.dLogits().clone();
        if (value.dWeights() != null) {
            router.backward(routing, value.dWeights(), actual);
        }
        for (int i = 0; i < actual.length; i++) {
            double[] up = input.logits().clone();
            double[] down = input.logits().clone();
            up[i] += STEP;
            down[i] -= STEP;
            double slope = (value(loss, router, up, noise) - value(loss, router, down, noise)) / (2 * STEP);
            assertEquals(slope, actual[i], TOLERANCE, "logit " + i);
        }
    }

    @Test
    void noiseLogitsOfTheLoadLoss() {
        RouterInput input = RouterCases.input();
        double[] noise = RouterCases.normal(input.logits().length, 1, 5);
        var loss = new LoadLoss(0.6);
        double[] actual = loss.evaluate(Routers.noisyTopK(2).route(input)).dNoiseLogits();
        for (int i = 0; i < noise.length; i++) {
            double[] up = noise.clone();
            double[] down = noise.clone();
            up[i] += STEP;
            down[i] -= STEP;
            double slope = (value(loss, Routers.noisyTopK(2), input.logits(), up)
                            - value(loss, Routers.noisyTopK(2), input.logits(), down))
                    / (2 * STEP);
            assertEquals(slope, actual == null ? Double.NaN : actual[i], TOLERANCE, "noise logit " + i);
        }
    }

    @Test
    void layersGetTheirOwnGradients() {
        double[] first = RouterCases.normal(14 * RouterCases.EXPERTS, 1, 1);
        double[] second = RouterCases.normal(14 * RouterCases.EXPERTS, 1, 2);
        var mask = new boolean[14];
        for (int t = 0; t < 14; t++) {
            mask[t] = t % 4 != 3;
        }
        for (boolean hf : new boolean[] {true, false}) {
            var gradients = layers(hf, first, second, mask).dLogits();
            for (int i = 0; i < first.length; i++) {
                double[] up = second.clone();
                double[] down = second.clone();
                up[i] += STEP;
                down[i] -= STEP;
                double slope = (layers(hf, first, up, mask).value()
                                - layers(hf, first, down, mask).value())
                        / (2 * STEP);
                assertEquals(slope, gradients.get(1)[i], TOLERANCE, "logit " + i);
            }
        }
    }

    private static MultiLayerLossValue layers(boolean hf, double[] first, double[] second, boolean[] mask) {
        var router = ScoreRouter.softmaxTopK(2, false);
        var layers = List.of(
                router.route(RouterInput.of(first, 14, RouterCases.EXPERTS)),
                router.route(RouterInput.of(second, 14, RouterCases.EXPERTS)));
        return hf
                ? new LoadBalancingLoss(0.9).evaluate(layers, mask)
                : new MegaBlocksBalancingLoss(0.9, 3).evaluate(layers);
    }

    private static double value(AuxiliaryLoss loss, Router router, double[] logits, double[] noise) {
        return loss.evaluate(router.route(RouterCases.input(logits, noise))).value();
    }
}
