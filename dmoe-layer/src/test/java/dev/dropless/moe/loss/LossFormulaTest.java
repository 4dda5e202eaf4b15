package dev.dropless.moe.loss;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import dev.dropless.moe.loss.DeepSeekBalancingLoss.Variant;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreRouter;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Each loss against its formula, written out for the scores below or computed on its own. */
class LossFormulaTest {

    private static final double EPS = 1e-14;

    /** Scores [.125 .25 .625] [.5 .375 .125] [.1 .6 .3] [.0625 .1875 .75]; best 2 0 1 2, second 1 1 2 1. */
    private static final double[] LOGITS = Arrays.stream(new double[] {1, 2, 5, 4, 3, 1, 1, 6, 3, 1, 3, 12})
            .map(Math::log)
            .toArray();

    private static final double[] MEAN = {.196875, .353125, .45};

    private static RouterInput input(int batch) {
        return RouterInput.builder(LOGITS, 4, 3).shape(batch, 4 / batch).build();
    }

    private static Routing top(int k) {
        return ScoreRouter.softmaxTopK(k, false).route(input(1));
    }

    @Test
    void megaBlocksGolden() {
        assertEquals(
                0.10875, new MegaBlocksBalancingLoss(0.1, 1).evaluate(top(1)).value(), EPS);
        assertEquals(
                0.1109765625,
                new MegaBlocksBalancingLoss(0.1, 1).evaluate(top(2)).value(),
                EPS);
        assertEquals(
                0.05548828125,
                new MegaBlocksBalancingLoss(0.1, 2).evaluate(top(2)).value(),
                EPS);
        double both = new MegaBlocksBalancingLoss(0.1, 2)
                .evaluate(List.of(top(2), top(2)))
                .value();
        assertEquals(0.1109765625, both, EPS);
    }

    @Test
    void megaBlocksCountsDroppedChoices() {
        Routing dropped = Routers.megaBlocks(2, 0, ExpertCapacity.fixed(1)).route(input(1));
        assertEquals(
                0.1109765625,
                new MegaBlocksBalancingLoss(0.1, 1).evaluate(dropped).value(),
                EPS);
    }

    @Test
    void zLossGolden() {
        assertEquals(5.409325145924, new RouterZLoss(1).evaluate(top(2)).value(), 1e-12);
        assertEquals(0.005409325146, new RouterZLoss(1e-3).evaluate(top(2)).value(), 1e-12);
    }

    @Test
    void zLossOfLargeLogitsDoesNotOverflow() {
        Routing routing = ScoreRouter.softmaxTopK(1, false).route(RouterInput.of(new double[] {1000, 0}, 1, 2));
        assertEquals(1e6, new RouterZLoss(1).evaluate(routing).value());
    }

    @Test
    void loadBalancingCountsEveryChoice() {
        // counts of both choices 1 4 3, each divided by the four tokens
        double expected = 3 * (MEAN[0] * 1 / 4 + MEAN[1] * 4 / 4 + MEAN[2] * 3 / 4);
        assertEquals(0.5 * expected, new LoadBalancingLoss(0.5).evaluate(top(2)).value(), EPS);
    }

    @Test
    void loadBalancingConcatenatesLayersAndSkipsMaskedTokens() {
        double[] other = {0, 1, 2, 2, 1, 0, 0, 3, 1, 5, 0, 0};
        Routing second = ScoreRouter.softmaxTopK(2, true).route(RouterInput.of(other, 4, 3));
        boolean[] mask = {true, false, true, true};
        var p = new double[3];
        var f = new double[3];
        for (Routing layer : List.of(top(2), second)) {
            for (int t : new int[] {0, 2, 3}) {
                for (int e = 0; e < 3; e++) {
                    p[e] += layer.scores()[t * 3 + e] / 6;
                }
                f[layer.expertIds()[t * 2]] += 1. / 6;
                f[layer.expertIds()[t * 2 + 1]] += 1. / 6;
            }
        }
        double expected = 3 * (f[0] * p[0] + f[1] * p[1] + f[2] * p[2]);
        var value = new LoadBalancingLoss(1).evaluate(List.of(top(2), second), mask);
        assertEquals(expected, value.value(), EPS);
        for (double[] dLogits : value.dLogits()) {
            assertArrayEquals(new double[3], Arrays.copyOfRange(dLogits, 3, 6), "a masked token has no gradient");
        }
    }

    @Test
    void loadBalancingIgnoresBiases() {
        var biased = RouterInput.builder(LOGITS, 4, 3)
                .selectionBias(new double[] {9, 0, 0})
                .build();
        Routing routing = Routers.auxiliaryLossFree(2, null, 1).route(biased);
        double expected = new LoadBalancingLoss(1).evaluate(top(2)).value();
        assertEquals(expected, new LoadBalancingLoss(1).evaluate(routing).value(), EPS);
    }

    @Test
    void switchCountsDroppedTokensAsExpertZero() {
        // sequences (t0 t1) and (t2 t3), best 2 0 | 1 2; capacity 0 drops all of them
        Routing kept = Routers.switchTransformer(0).route(input(2));
        double first = 3 * (.5 * (.125 + .5) / 2 + .5 * (.625 + .125) / 2);
        double second = 3 * (.5 * (.6 + .1875) / 2 + .5 * (.3 + .75) / 2);
        assertEquals(
                (first + second) / 2, new SwitchBalancingLoss(1).evaluate(kept).value(), EPS);
        Routing dropped = Routers.switchTransformer(1e-9).route(input(2));
        double all = (3 * (.125 + .5) / 2 + 3 * (.1 + .0625) / 2) / 2;
        assertEquals(0.01 * all, new SwitchBalancingLoss(0.01).evaluate(dropped).value(), EPS);
    }

    @Test
    void nllbUsesCombineWeights() {
        // room for one: kept first choices 2 0 1 -, second choices find no room, so f = 2 1 1 quarters
        Routing routing = Routers.openMoe(0.5).route(input(1));
        assertArrayEquals(new int[] {2, -1, 0, -1, 1, -1, -1, -1}, routing.expertIds());
        double expected = 3 * (.5 * .5 + .25 * .6 + .25 * .625) / 4;
        LossValue value = new NllbBalancingLoss(1).evaluate(routing);
        assertEquals(expected, value.value(), EPS);
        assertArrayEquals(new double[12], value.dLogits());
        double[] dWeights = value.dWeights();
        assertNotNull(dWeights);
        assertArrayEquals(new double[] {3. / 16, 0, 3. / 8, 0, 3. / 16, 0, 0, 0}, dWeights, EPS);
    }

    @Test
    void deepSeekV2PerSequenceAndPerBatch() {
        Routing routing = ScoreRouter.softmaxTopK(2, false).route(input(2));
        // counts: first sequence 1 2 1, second 0 2 2; f = count * 3 / (2 * 2)
        double first = .75 * (1 * .3125 + 2 * .3125 + 1 * .375);
        double second = .75 * (2 * .39375 + 2 * .525);
        assertEquals(
                (first + second) / 2,
                new DeepSeekBalancingLoss(1, Variant.V2_SEQUENCE)
                        .evaluate(routing)
                        .value(),
                EPS);
        double batch = 3 / 8. * (1 * MEAN[0] + 4 * MEAN[1] + 3 * MEAN[2]);
        assertEquals(
                0.1 * batch,
                new DeepSeekBalancingLoss(0.1, Variant.V2_BATCH)
                        .evaluate(routing)
                        .value(),
                EPS);
    }

    @Test
    void deepSeekV3NormalisesScoresAndIgnoresTheBias() {
        double[] z = {2, 0, -1, 1, 1.5, 0, 0, 1, 2, -2, 0, 1};
        var input = RouterInput.builder(z, 4, 3)
                .shape(2, 2)
                .selectionBias(new double[] {0, 0, 50})
                .build();
        Routing routing = Routers.auxiliaryLossFree(1, null, 1).route(input);
        assertArrayEquals(new int[] {2, 2, 2, 2}, routing.expertIds());
        int[] best = {0, 1, 2, 2};
        double expected = 0;
        for (int b = 0; b < 2; b++) {
            for (int e = 0; e < 3; e++) {
                double f = 0;
                double p = 0;
                for (int t = 2 * b; t < 2 * b + 2; t++) {
                    f += best[t] == e ? 3. / 2 : 0;
                    p += share(z, t, e) / 2;
                }
                expected += f * p / 2;
            }
        }
        assertEquals(
                1e-4 * expected,
                new DeepSeekBalancingLoss(1e-4, Variant.V3_SEQUENCE)
                        .evaluate(routing)
                        .value(),
                EPS);
    }

    private static double share(double[] z, int token, int expert) {
        double sum = 0;
        for (int e = 0; e < 3; e++) {
            sum += 1 / (1 + Math.exp(-z[token * 3 + e]));
        }
        return 1 / (1 + Math.exp(-z[token * 3 + expert])) / sum;
    }

    @Test
    void importanceIsSquaredVariationOfGateSums() {
        Routing routing = top(2);
        // sums of the kept weights: .5, .25 + .375 + .6 + .1875, .625 + .3 + .75
        double[] sums = {.5, 1.4125, 1.675};
        double mean = (sums[0] + sums[1] + sums[2]) / 3;
        double variance = Arrays.stream(sums).map(s -> (s - mean) * (s - mean)).sum() / 3;
        assertEquals(
                0.1 * variance / (mean * mean),
                new ImportanceLoss(0.1).evaluate(routing).value(),
                EPS);
    }

    @Test
    void loadIsTheChanceOfBeingChosenAgain() {
        double[] z = {1, 0.2, -0.5, 0.1, 0.4, 0.9};
        double[] m = {0, 0.5, -1, 1, 0.3, -0.2};
        double[] draws = {0.5, 1, -0.3, -1, 0.2, 0.1};
        var input = RouterInput.builder(z, 2, 3)
                .noiseLogits(m)
                .training(true)
                .noise(RouterNoise.replay(Map.of(RouterNoise.Draw.LOGIT_GAUSSIAN, draws)))
                .build();
        Routing routing = Routers.noisyTopK(1).route(input);
        var load = new double[3];
        for (int i = 0; i < 6; i++) {
            double sigma = Math.log(1 + Math.exp(m[i]));
            double rival = Double.NEGATIVE_INFINITY;
            for (int j = i / 3 * 3; j < i / 3 * 3 + 3; j++) {
                rival = j == i ? rival : Math.max(rival, z[j] + draws[j] * Math.log(1 + Math.exp(m[j])));
            }
            load[i % 3] += normal((z[i] - rival) / sigma);
        }
        double mean = (load[0] + load[1] + load[2]) / 3;
        double variance = Arrays.stream(load).map(s -> (s - mean) * (s - mean)).sum() / 3;
        assertEquals(variance / (mean * mean), new LoadLoss(1).evaluate(routing).value(), 1e-9);
    }

    /** The normal distribution function by Simpson's rule, good to 1e-10 here. */
    private static double normal(double u) {
        int steps = 2000;
        double sum = 0;
        for (int i = 0; i <= steps; i++) {
            double x = u * i / steps;
            double factor = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
            sum += factor * Math.exp(-x * x / 2);
        }
        return 0.5 + sum * u / steps / 3 / Math.sqrt(2 * Math.PI);
    }

    @Test
    void normalDistribution() {
        double[] u = {-12, -9, -3, -1, 0, 0.5, 2, 6, 12};
        for (double x : u) {
            assertEquals(x < -8 ? 0 : x > 8 ? 1 : normal(x), NormalDistribution.cumulative(x), 1e-10, "at " + x);
        }
        assertEquals(0.8413447460685429, NormalDistribution.cumulative(1), 1e-15);
    }

    @Test
    void everythingChosenIsAnEvenLoad() {
        var input = RouterInput.builder(new double[] {1, 2, 3, 4}, 2, 2)
                .noiseLogits(new double[4])
                .training(true)
                .noise(RouterNoise.seeded(1))
                .build();
        assertEquals(
                0, new LoadLoss(1).evaluate(Routers.noisyTopK(2).route(input)).value());
    }

    @Test
    void perfectBalanceGivesTheCoefficient() {
        Routing even = Routing.of(
                RouterInput.of(new double[16], 4, 4), 1, Gating.SOFTMAX, new int[] {0, 1, 2, 3}, new double[4]);
        assertEquals(0.1, new MegaBlocksBalancingLoss(0.1, 1).evaluate(even).value(), EPS);
        assertEquals(0.1, new SwitchBalancingLoss(0.1).evaluate(even).value(), EPS);
        assertEquals(
                0.1,
                new DeepSeekBalancingLoss(0.1, Variant.V2_BATCH).evaluate(even).value(),
                EPS);
        assertEquals(
                0.1,
                new DeepSeekBalancingLoss(0.1, Variant.V2_SEQUENCE)
                        .evaluate(even)
                        .value(),
                EPS);
    }
}
