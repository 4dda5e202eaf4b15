package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Central differences of sum(weights * g) against the backward pass, with the choice of experts held. */
class RouterGradientTest {

    private static final double STEP = 1e-6;
    /** Truncation is of the order of 1e-12 and rounding of 1e-16 / 1e-6; weights are below 20. */
    private static final double TOLERANCE = 5e-8;

    static Stream<String> routers() {
        return RouterCases.all().keySet().stream();
    }

    @ParameterizedTest
    @MethodSource("routers")
    void logits(String name) {
        Router router = RouterCases.all().get(name);
        RouterInput input = RouterCases.input();
        Routing routing = router.route(input);
        double[] g = RouterCases.normal(routing.weights().length, 1, 11);
        var actual = new double[input.logits().length];
        Arrays.fill(actual, 100);
        router.backward(routing, g, actual);
        for (int i = 0; i < actual.length; i++) {
            double[] up = input.logits().clone();
            double[] down = input.logits().clone();
            up[i] += STEP;
            down[i] -= STEP;
            double[] noise = noise(input);
            double slope = difference(router, routing, g, RouterCases.input(up, noise), RouterCases.input(down, noise));
            assertEquals(slope, actual[i] - 100, TOLERANCE, name + " logit " + i);
        }
    }

    @Test
    void noiseLogits() {
        ScoreRouter router = Routers.noisyTopK(3);
        RouterInput input = RouterCases.input();
        Routing routing = router.route(input);
        double[] g = RouterCases.normal(routing.weights().length, 1, 11);
        var actual = new double[input.logits().length];
        router.backwardNoise(routing, g, actual);
        for (int i = 0; i < actual.length; i++) {
            double[] up = noise(input).clone();
            double[] down = noise(input).clone();
            up[i] += STEP;
            down[i] -= STEP;
            double slope = difference(
                    router, routing, g, RouterCases.input(input.logits(), up), RouterCases.input(input.logits(), down));
            assertEquals(slope, actual[i], TOLERANCE, "noise logit " + i);
        }
    }

    @Test
    void sparseMixerInEvaluationIsExact() {
        var router = new SparseMixerRouter(0.3);
        double[] logits = RouterCases.normal(9 * 6, 1, 2);
        Routing routing = router.route(RouterInput.of(logits, 9, 6));
        double[] g = RouterCases.normal(18, 1, 12);
        var actual = new double[logits.length];
        router.backward(routing, g, actual);
        for (int i = 0; i < logits.length; i++) {
            double[] up = logits.clone();
            double[] down = logits.clone();
            up[i] += STEP;
            down[i] -= STEP;
            double slope = difference(router, routing, g, RouterInput.of(up, 9, 6), RouterInput.of(down, 9, 6));
            assertEquals(slope, actual[i], TOLERANCE, "logit " + i);
        }
    }

    @Test
    void frozenRouterGivesNoGradient() {
        ScoreRouter router = Routers.frozen(2);
        Routing routing = router.route(RouterCases.input());
        var dLogits = new double[routing.logits().length];
        router.backward(routing, RouterCases.normal(routing.weights().length, 1, 1), dLogits);
        router.backwardNoise(routing, RouterCases.normal(routing.weights().length, 1, 1), dLogits);
        assertArrayEquals(new double[dLogits.length], dLogits);
    }

    @Test
    void backwardAddsAndDroppedSlotsAreIgnored() {
        Router router = Routers.megaBlocks(2, 1, ExpertCapacity.factor(0.5));
        Routing routing = router.route(RouterCases.input());
        double[] g = RouterCases.normal(routing.weights().length, 1, 1);
        double[] poisoned = g.clone();
        for (int slot = 0; slot < g.length; slot++) {
            poisoned[slot] = routing.expertIds()[slot] < 0 ? Double.NaN : g[slot];
        }
        var expected = new double[routing.logits().length];
        var actual = new double[routing.logits().length];
        router.backward(routing, g, expected);
        router.backward(routing, poisoned, actual);
        assertArrayEquals(expected, actual);
    }

    private static double[] noise(RouterInput input) {
        double[] noise = input.noiseLogits();
        return noise == null ? new double[0] : noise;
    }

    private static double difference(Router router, Routing base, double[] g, RouterInput up, RouterInput down) {
        return (dot(router, base, g, up) - dot(router, base, g, down)) / (2 * STEP);
    }

    private static double dot(Router router, Routing base, double[] g, RouterInput input) {
        Routing moved = router.route(input);
        assertArrayEquals(base.expertIds(), moved.expertIds(), "the step must not change the choice");
        double sum = 0;
        for (int slot = 0; slot < g.length; slot++) {
            sum += g[slot] * moved.weights()[slot];
        }
        return sum;
    }
}
