package dev.dropless.moe.loss;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.dropless.moe.loss.DeepSeekBalancingLoss.Variant;
import dev.dropless.moe.router.RouterCases;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreRouter;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class LossArgumentsTest {

    private static final double NAN = Double.NaN;

    private static Routing routing(int tokens, int experts, int k) {
        return ScoreRouter.softmaxTopK(k, false).route(RouterInput.of(new double[tokens * experts], tokens, experts));
    }

    static Stream<Arguments> refusals() {
        var megaBlocks = new MegaBlocksBalancingLoss(1, 2);
        var mixed = List.of(routing(2, 4, 2), routing(3, 4, 2));
        return Stream.of(
                refuses("coefficient: expected a finite number, found NaN", () -> new LoadBalancingLoss(NAN)),
                refuses("coefficient: expected a finite number, found NaN", () -> new RouterZLoss(NAN)),
                refuses("coefficient: expected a finite number, found NaN", () -> new SwitchBalancingLoss(NAN)),
                refuses("coefficient: expected a finite number, found NaN", () -> new NllbBalancingLoss(NAN)),
                refuses(
                        "alpha: expected a finite number, found NaN",
                        () -> new DeepSeekBalancingLoss(NAN, Variant.V2_BATCH)),
                refuses("weight: expected a finite number, found NaN", () -> new ImportanceLoss(NAN)),
                refuses("weight: expected a finite number, found NaN", () -> new LoadLoss(NAN)),
                refuses("weight: expected a finite number, found NaN", () -> new MegaBlocksBalancingLoss(NAN, 1)),
                refuses("totalLayers: expected at least 1, found 0", () -> new MegaBlocksBalancingLoss(1, 0)),
                refuses(
                        "layers: expected at most totalLayers = 2, found 3",
                        () -> megaBlocks.evaluate(List.of(routing(1, 2, 1), routing(1, 2, 1), routing(1, 2, 1)))),
                refuses("tokens of layer 1: expected 2 as in layer 0, found 3", () -> megaBlocks.evaluate(mixed)),
                refuses(
                        "numExperts of layer 1: expected 4 as in layer 0, found 5",
                        () -> new LoadBalancingLoss(1).evaluate(List.of(routing(2, 4, 2), routing(2, 5, 2)))),
                refuses(
                        "topK of layer 1: expected 2 as in layer 0, found 1",
                        () -> new LoadBalancingLoss(1).evaluate(List.of(routing(2, 4, 2), routing(2, 4, 1)))),
                refuses(
                        "attentionMask: expected 2 values (tokens), found 1",
                        () -> new LoadBalancingLoss(1).evaluate(List.of(routing(2, 4, 2)), new boolean[1])),
                refuses(
                        "routing: expected one of noisy gating in training, token by token, found "
                                + "Routing[tokens=1, numExperts=2, topK=1, tokensPerExpert=[1, 0]]",
                        () -> new LoadLoss(1).evaluate(routing(1, 2, 1))));
    }

    private static Arguments refuses(String message, Executable call) {
        return arguments(message, call);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("refusals")
    void message(String expected, Executable call) {
        assertEquals(
                expected, assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    static Stream<AuxiliaryLoss> losses() {
        return Stream.concat(
                Stream.of(
                        new LoadBalancingLoss(1),
                        new MegaBlocksBalancingLoss(1, 1),
                        new RouterZLoss(1),
                        new SwitchBalancingLoss(1),
                        new NllbBalancingLoss(1),
                        new ImportanceLoss(1),
                        new LoadLoss(1)),
                Stream.of(Variant.values()).map(variant -> new DeepSeekBalancingLoss(1, variant)));
    }

    @ParameterizedTest
    @MethodSource("losses")
    void noTokens(AuxiliaryLoss loss) {
        for (int batch = 0; batch < 3; batch++) {
            var input = RouterInput.builder(new double[0], 0, 4)
                    .shape(batch, 0)
                    .noiseLogits(new double[0])
                    .training(true)
                    .noise(RouterNoise.seeded(1))
                    .build();
            LossValue value = loss.evaluate(Routers.noisyTopK(2).route(input));
            assertEquals(0, value.value());
            assertEquals(0, value.dLogits().length);
        }
    }

    @ParameterizedTest
    @MethodSource("losses")
    void callsLeaveNoTrace(AuxiliaryLoss loss) {
        Routing routing = Routers.noisyTopK(3).route(RouterCases.input());
        LossValue first = loss.evaluate(routing);
        LossValue second = loss.evaluate(routing);
        assertEquals(first.value(), second.value());
        assertArrayEquals(first.dLogits(), second.dLogits());
    }

    @Test
    void noLayersAndNoUnmaskedTokens() {
        assertEquals(0, new LoadBalancingLoss(1).evaluate(List.of()).value());
        assertEquals(0, new MegaBlocksBalancingLoss(1, 1).evaluate(List.of()).value());
        var value = new LoadBalancingLoss(1).evaluate(List.of(routing(2, 4, 2)), new boolean[2]);
        assertEquals(0, value.value());
        assertArrayEquals(new double[8], value.dLogits().getFirst());
    }
}
