package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ScoreRouterTest {

    /** Natural logarithms of small whole numbers, so that every score is a simple fraction. */
    static final RouterInput GOLDEN = RouterInput.of(
            Arrays.stream(new double[] {1, 2, 5, 4, 3, 1, 1, 6, 3, 1, 3, 12})
                    .map(Math::log)
                    .toArray(),
            4,
            3);

    private static final double EPS = 1e-15;

    @Test
    void goldenScoresIdsAndCounts() {
        Routing routing = ScoreRouter.softmaxTopK(2, false).route(GOLDEN);
        double[] scores = {.125, .25, .625, .5, .375, .125, .1, .6, .3, .0625, .1875, .75};
        assertArrayEquals(scores, routing.scores(), EPS);
        assertArrayEquals(new int[] {2, 1, 0, 1, 1, 2, 2, 1}, routing.expertIds());
        assertArrayEquals(new double[] {.625, .25, .5, .375, .6, .3, .75, .1875}, routing.weights(), EPS);
        assertArrayEquals(new int[] {1, 4, 3}, routing.tokensPerExpert());
        assertSame(routing.expertIds(), routing.selectedIds());
    }

    @Test
    void goldenNormalisedWeights() {
        double[] first = {5. / 7, 2. / 7, 4. / 7, 3. / 7, 2. / 3, 1. / 3, .8, .2};
        assertArrayEquals(first, Routers.megaBlocks(2, 1, null).route(GOLDEN).weights(), EPS);
        double[] second = {.928476691, .371390676, .8, .6, .894427191, .447213595, .9701425, .242535625};
        assertArrayEquals(second, Routers.megaBlocks(2, 2, null).route(GOLDEN).weights(), 5e-10);
    }

    @Test
    void softmaxOfSelectedEqualsNormalisedSoftmax() {
        var input = RouterCases.input();
        double[] expected = ScoreRouter.softmaxTopK(3, true).route(input).weights();
        Routing routing = ScoreRouter.builder(3)
                .selection(TopKSelection.BY_LOGITS)
                .weightRule(WeightRule.SOFTMAX_OF_SELECTED)
                .build()
                .route(input);
        assertArrayEquals(expected, routing.weights(), EPS);
    }

    @Test
    void weightRulesByTheirFormulas() {
        double[] z = {0.5, -1, 2};
        double s0 = 1 / (1 + Math.exp(-0.5));
        double s2 = 1 / (1 + Math.exp(-2));
        var sigmoid = ScoreRouter.builder(2)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .weightRule(new WeightRule(WeightRule.Source.SCORE, new WeightRule.Normalization(2, 0.1, 0), 3, false));
        double norm = Math.sqrt(s0 * s0 + s2 * s2) + 0.1;
        assertArrayEquals(new double[] {3 * s2 / norm, 3 * s0 / norm}, weights(sigmoid, z), EPS);
        var floor = ScoreRouter.builder(1)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .weightRule(WeightRule.SCORES.normalized(WeightRule.Normalization.sumAtLeast(4)));
        assertArrayEquals(new double[] {s2 / 4}, weights(floor, z), EPS);
        var capped = ScoreRouter.builder(1).gating(new Gating(ScoreFunction.SQRT_SOFTPLUS, 1.5, false));
        double g = 1.5 * Math.tanh(2 / 1.5);
        assertArrayEquals(new double[] {Math.sqrt(Math.log(1 + Math.exp(g)))}, weights(capped, z), EPS);
    }

    private static double[] weights(ScoreRouter.Builder builder, double[] logits) {
        return builder.build().route(RouterInput.of(logits, 1, logits.length)).weights();
    }

    @Test
    void scoreFunctionsStayFiniteFarOut() {
        double[] z = {-1000, 0, 1000};
        for (ScoreFunction function : ScoreFunction.values()) {
            var scores = new double[] {Double.NaN, Double.NaN, Double.NaN};
            var dLogits = new double[3];
            function.forward(z, scores, 0, 3);
            function.backward(z, scores, new double[] {1, 1, 1}, dLogits, 0, 3);
            for (int i = 0; i < 3; i++) {
                assertTrue(Double.isFinite(scores[i]) && Double.isFinite(dLogits[i]), function + " at " + z[i]);
            }
        }
    }

    @Test
    void tiesGoToTheLowerId() {
        Routing routing = ScoreRouter.softmaxTopK(3, false).route(RouterInput.of(new double[] {1, 2, 1, 2, 1}, 1, 5));
        assertArrayEquals(new int[] {1, 3, 0}, routing.expertIds());
    }

    @Test
    void nanStaysWithItsToken() {
        double[] logits = RouterCases.normal(5 * 4, 1, 8);
        double[] poisoned = logits.clone();
        poisoned[2 * 4 + 1] = Double.NaN;
        Router router = ScoreRouter.softmaxTopK(2, true);
        Routing clean = router.route(RouterInput.of(logits, 5, 4));
        Routing dirty = router.route(RouterInput.of(poisoned, 5, 4));
        for (int slot = 0; slot < 10; slot++) {
            if (slot / 2 == 2) {
                assertTrue(Double.isNaN(dirty.weights()[slot]));
                assertEquals(slot % 2, dirty.expertIds()[slot]);
            } else {
                assertEquals(clean.weights()[slot], dirty.weights()[slot]);
                assertEquals(clean.expertIds()[slot], dirty.expertIds()[slot]);
            }
        }
        var byLogits = ScoreRouter.builder(2).selection(TopKSelection.BY_LOGITS).build();
        int[] ids = byLogits.route(RouterInput.of(new double[] {Double.NaN, -5, -6}, 1, 3))
                .expertIds();
        assertArrayEquals(new int[] {1, 2}, ids);
    }

    @Test
    void minusInfinityGivesWeightZero() {
        double[] z = {Double.NEGATIVE_INFINITY, 1, Double.NEGATIVE_INFINITY};
        Routing routing = ScoreRouter.softmaxTopK(2, true).route(RouterInput.of(z, 1, 3));
        assertArrayEquals(new int[] {1, 0}, routing.expertIds());
        assertArrayEquals(new double[] {1, 0}, routing.weights());
    }

    static Stream<String> routers() {
        return RouterCases.all().keySet().stream();
    }

    @ParameterizedTest
    @MethodSource("routers")
    void noTokens(String name) {
        Router router = RouterCases.all().get(name);
        Routing routing = router.route(RouterCases.input(new double[0], new double[0]));
        assertEquals(0, routing.expertIds().length);
        assertEquals(0, routing.weights().length);
        assertArrayEquals(new int[RouterCases.EXPERTS], routing.tokensPerExpert());
        router.backward(routing, new double[0], new double[0]);
    }

    @ParameterizedTest
    @MethodSource("routers")
    void sameInputSameRoutingAndSoundSlots(String name) {
        Router router = RouterCases.all().get(name);
        Routing routing = router.route(RouterCases.input());
        Routing again = router.route(RouterCases.input());
        assertArrayEquals(routing.expertIds(), again.expertIds());
        assertArrayEquals(routing.weights(), again.weights());
        int k = router.topK();
        assertEquals(14 * k, routing.expertIds().length);
        for (int slot = 0; slot < 14 * k; slot++) {
            int id = routing.expertIds()[slot];
            assertTrue(id >= -1 && id < RouterCases.EXPERTS);
            assertTrue(id >= 0 ? routing.weights()[slot] > 0 : routing.weights()[slot] == 0, "slot " + slot);
            for (int other = slot / k * k; other < slot; other++) {
                assertTrue(id < 0 || id != routing.expertIds()[other], "an expert twice in token " + slot / k);
            }
        }
    }

    @Test
    void oneExpert() {
        double[] z = RouterCases.normal(3, 1, 1);
        Routing routing = ScoreRouter.softmaxTopK(1, false).route(RouterInput.of(z, 3, 1));
        assertArrayEquals(new int[3], routing.expertIds());
        assertArrayEquals(new double[] {1, 1, 1}, routing.weights());
    }

    @Test
    void relabellingExpertsRelabelsTheRouting() {
        double[] z = RouterCases.normal(6 * 5, 1, 1);
        var reversed = new double[z.length];
        for (int i = 0; i < z.length; i++) {
            reversed[i / 5 * 5 + 4 - i % 5] = z[i];
        }
        Routing routing = ScoreRouter.softmaxTopK(3, true).route(RouterInput.of(z, 6, 5));
        Routing other = ScoreRouter.softmaxTopK(3, true).route(RouterInput.of(reversed, 6, 5));
        for (int slot = 0; slot < 18; slot++) {
            assertEquals(4 - routing.expertIds()[slot], other.expertIds()[slot]);
        }
        assertArrayEquals(routing.weights(), other.weights(), EPS);
    }
}
