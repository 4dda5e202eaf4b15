package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** One router of the literature each, against its formula written out for a few tokens. */
class RoutersTest {

    private static final double EPS = 1e-15;

    private static double[] log(double... values) {
        var logs = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            logs[i] = Math.log(values[i]);
        }
        return logs;
    }

    @Test
    void noisyTopKAddsNoiseInTrainingOnly() {
        double[] z = {1, 0.5, 0};
        double[] noise = {0, 1, 2};
        double[] draws = {-1, 0.5, 1};
        var builder = RouterInput.builder(z, 1, 3)
                .noiseLogits(noise)
                .noise(RouterNoise.replay(Map.of(RouterNoise.Draw.LOGIT_GAUSSIAN, draws)));
        var h = new double[3];
        for (int e = 0; e < 3; e++) {
            h[e] = z[e] + draws[e] * Math.log(1 + Math.exp(noise[e]));
        }
        Routing routing = Routers.noisyTopK(2).route(builder.training(true).build());
        assertArrayEquals(h, routing.gateLogits(), EPS);
        assertArrayEquals(new int[] {2, 1}, routing.expertIds());
        double w = Math.exp(h[2]) / (Math.exp(h[2]) + Math.exp(h[1]));
        assertArrayEquals(new double[] {w, 1 - w}, routing.weights(), EPS);

        Routing evaluated = Routers.noisyTopK(2).route(builder.training(false).build());
        assertNull(evaluated.noiseDraws());
        assertArrayEquals(new int[] {0, 1}, evaluated.expertIds());
    }

    @Test
    void gshardQueuesFirstChoicesFirst() {
        // capacity floor(1 * 2 * 3 / 3) = 2; expert 0: tokens 0 1 first; second choices 0 -> 1, 1 -> 1, 2 -> 0
        double[] z = log(5, 3, 2, 6, 3, 1, 3, 6, 1);
        Routing routing = Routers.gshard(1).route(RouterInput.of(z, 3, 3));
        assertArrayEquals(new int[] {0, 1, 0, -1, 1, -1}, routing.expertIds());
        assertArrayEquals(new double[] {5. / 8, 3. / 8, 6. / 9, 0, 6. / 9, 0}, routing.weights(), EPS);
        assertArrayEquals(
                routing.weights(),
                Routers.stMoe(1).route(RouterInput.of(z, 3, 3)).weights());
        assertArrayEquals(
                routing.weights(),
                Routers.glam(1).route(RouterInput.of(z, 3, 3)).weights());
    }

    @Test
    void openMoeKeepsPlainProbabilities() {
        double[] z = log(5, 3, 2, 6, 3, 1, 3, 6, 1);
        Routing routing = Routers.openMoe(1).route(RouterInput.of(z, 3, 3));
        assertArrayEquals(new double[] {.5, .3, .6, 0, .6, 0}, routing.weights(), EPS);
    }

    @Test
    void batchPrioritizedServesSureTokensFirst() {
        // capacity 1 each; expert 0 is wanted by tokens 0 (p .5) and 1 (p .6)
        double[] z = log(5, 3, 2, 6, 3, 1, 3, 6, 1);
        Routing routing = Routers.batchPrioritized(1, 1).route(RouterInput.of(z, 3, 3));
        assertArrayEquals(new int[] {-1, 0, 1}, routing.expertIds());
    }

    @Test
    void switchDropsWithinEachSequence() {
        // two sequences of 2, capacity floor(1 * 2 / 2) = 1
        double[] z = log(3, 1, 4, 1, 3, 1, 1, 3);
        var input = RouterInput.builder(z, 4, 2).shape(2, 2).build();
        Routing routing = Routers.switchTransformer(1).route(input);
        assertArrayEquals(new int[] {0, -1, 0, 1}, routing.expertIds());
        assertArrayEquals(new double[] {.75, 0, .75, .75}, routing.weights(), EPS);
    }

    @Test
    void deviceLimitedReachesFewDevices() {
        double[] z = log(8, 1, 2, 7, 6, 1, 5, 1);
        Routing routing = Routers.deviceLimited(3, 4, 2, 10).route(RouterInput.of(z, 1, 8));
        assertArrayEquals(new int[] {0, 3, 2}, routing.expertIds());
        assertArrayEquals(new double[] {80. / 31, 70. / 31, 20. / 31}, routing.weights(), EPS);
    }

    @Test
    void auxiliaryLossFreeWeighsWithoutTheBias() {
        double[] z = {2, 1, 0, -1};
        var input = RouterInput.builder(z, 1, 4)
                .selectionBias(new double[] {-1, 0, 0, 1})
                .build();
        Routing routing = Routers.auxiliaryLossFree(2, null, 2.5).route(input);
        double s1 = 1 / (1 + Math.exp(-1));
        double s3 = 1 / (1 + Math.exp(1));
        assertArrayEquals(new int[] {3, 1}, routing.expertIds());
        assertArrayEquals(new double[] {2.5 * s3 / (s1 + s3), 2.5 * s1 / (s1 + s3)}, routing.weights(), EPS);
        var groups = new GroupLimit(2, 1, GroupScore.TOP2_SUM);
        assertArrayEquals(
                new int[] {3, 2},
                Routers.auxiliaryLossFree(2, groups, 1).route(input).expertIds());
    }

    @Test
    void selectionBiasFollowsTheLoad() {
        double[] bias = {0.5, 0, -0.1, 0};
        double[] next = SelectionBias.updated(bias, new int[] {6, 4, 2, 4}, 0.001);
        assertArrayEquals(new double[] {0.499, 0, -0.099, 0}, next, EPS);
        assertArrayEquals(new double[] {0.5, 0, -0.1, 0}, bias);
    }

    @Test
    void repeatedBiasUpdatesBalanceTheLoad() {
        int tokens = 400;
        double[] z = RouterCases.normal(tokens * 8, 1, 5);
        for (int t = 0; t < tokens; t++) {
            z[t * 8] += 2;
        }
        var router = Routers.auxiliaryLossFree(2, null, 1);
        var bias = new double[8];
        for (int step = 0; step < 400; step++) {
            var input = RouterInput.builder(z, tokens, 8).selectionBias(bias).build();
            bias = SelectionBias.updated(bias, router.route(input).tokensPerExpert(), 0.002);
        }
        var input = RouterInput.builder(z, tokens, 8).selectionBias(bias).build();
        double before = RoutingStatistics.of(router.route(RouterInput.builder(z, tokens, 8)
                        .selectionBias(new double[8])
                        .build()))
                .loadVariation();
        double after = RoutingStatistics.of(router.route(input)).loadVariation();
        assertEquals(0, after, before / 10);
    }

    @Test
    void sequenceRouterGivesAllTokensTheDecisionOfTheMean() {
        double[] z = {4, 0, 1, 0, 2, 1, 0, 3, 3, 1, 1, 2};
        var input = RouterInput.builder(z, 4, 3).shape(2, 2).build();
        Routing routing = new SequenceRouter(ScoreRouter.softmaxTopK(1, false)).route(input);
        Routing units = routing.units();
        assertNotNull(units);
        assertArrayEquals(new double[] {2, 1, 1, .5, 2, 2.5}, units.logits(), EPS);
        assertArrayEquals(new int[] {0, 0, 2, 2}, routing.expertIds());
        double first = 1 / (1 + 2 * Math.exp(-1));
        assertEquals(first, routing.weights()[0], EPS);
        assertEquals(first, routing.weights()[1], EPS);
        assertArrayEquals(new int[] {1, 0, 1}, units.tokensPerExpert());
    }

    @Test
    void sequenceRouterWithEmptySequences() {
        var input = RouterInput.builder(new double[0], 0, 3).shape(5, 0).build();
        Routing routing = new SequenceRouter(ScoreRouter.softmaxTopK(1, false)).route(input);
        assertArrayEquals(new int[3], routing.tokensPerExpert());
    }

    @Test
    void inputJitterIsWithinEps() {
        double[] factors = InputJitter.factors(RouterNoise.seeded(3), 10_000, 0.01);
        double sum = 0;
        for (double factor : factors) {
            assertEquals(1, factor, 0.01);
            sum += factor;
        }
        // standard deviation of the mean: 0.01 / sqrt(3) / 100
        assertEquals(1, sum / factors.length, 5 * 0.01 / Math.sqrt(3) / 100);
        assertArrayEquals(new double[] {1, 1}, InputJitter.factors(RouterNoise.seeded(3), 2, 0));
        var replayed = RouterNoise.replay(Map.of(RouterNoise.Draw.INPUT_JITTER, new double[] {0, 0.5, 0.75}));
        assertArrayEquals(new double[] {0.9, 1, 1.05}, InputJitter.factors(replayed, 3, 0.1), EPS);
    }

    @Test
    void seededNoiseIsAPureFunctionWithTheRightMeans() {
        var noise = RouterNoise.seeded(42);
        for (RouterNoise.Draw draw : RouterNoise.Draw.values()) {
            double[] numbers = noise.draw(draw, 40_000);
            assertArrayEquals(numbers, RouterNoise.seeded(42).draw(draw, 40_000));
            double mean = 0;
            for (double number : numbers) {
                mean += number / numbers.length;
            }
            double expected = switch (draw) {
                case LOGIT_GAUSSIAN -> 0;
                case FIRST_EXPONENTIAL, SECOND_EXPONENTIAL -> 1;
                default -> 0.5;
            };
            // standard deviations are 1 or less, of the mean 1 / 200
            assertEquals(expected, mean, 0.025, draw.name());
        }
    }

    @Test
    void neighbouringSeedsAndPurposesShareNoNumbers() {
        var seen = new HashSet<Double>();
        for (long seed = 0; seed < 20; seed++) {
            for (RouterNoise.Draw draw : List.of(
                    RouterNoise.Draw.FIRST_UNIFORM, RouterNoise.Draw.SECOND_UNIFORM, RouterNoise.Draw.INPUT_JITTER)) {
                for (double number : RouterNoise.seeded(seed).draw(draw, 100)) {
                    assertTrue(seen.add(number), "seed " + seed + ", " + draw);
                }
            }
        }
    }
}
