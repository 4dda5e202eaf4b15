package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class RoutingStatisticsTest {

    private static final double EPS = 1e-15;

    private static RoutingStatistics statistics(int tokens, int experts, int k, int... ids) {
        var input = RouterInput.of(new double[tokens * experts], tokens, experts);
        return RoutingStatistics.of(Routing.of(input, k, Gating.SOFTMAX, ids, new double[tokens * k]));
    }

    @Test
    void loadAndItsSpread() {
        var even = statistics(4, 2, 1, 0, 1, 0, 1);
        assertArrayEquals(new int[] {2, 2}, even.load());
        assertEquals(0, even.loadVariation());
        assertEquals(Math.log(2), even.loadEntropy(), EPS);
        var hot = statistics(4, 5, 1, 3, 3, 3, 3);
        assertEquals(2, hot.loadVariation(), EPS);
        assertEquals(0, hot.loadEntropy());
        var some = statistics(4, 3, 2, 0, 1, 0, 1, 0, 2, 0, -1);
        double variance = ((4 - 7 / 3.) * (4 - 7 / 3.) + (2 - 7 / 3.) * (2 - 7 / 3.) + (1 - 7 / 3.) * (1 - 7 / 3.)) / 3;
        assertEquals(Math.sqrt(variance) / (7 / 3.), some.loadVariation(), EPS);
    }

    @Test
    void cumulativeLoadCountsFromTheBusiestExpert() {
        var some = statistics(4, 3, 2, 1, 0, 1, 0, 1, 2, 1, -1);
        assertArrayEquals(new double[] {4 / 7., 6 / 7., 1}, some.cumulativeLoad(), EPS);
        assertArrayEquals(new double[2], statistics(1, 2, 1, -1).cumulativeLoad());
    }

    @Test
    void variationSoFarEndsWithThatOfAllTokens() {
        int[] ids = {0, 1, 0, 1, 0, 2, 0, -1, -1, -1, 2, 1};
        var all = statistics(6, 3, 2, ids);
        double[] soFar = all.cumulativeLoadVariation();
        for (int tokens = 1; tokens <= 6; tokens++) {
            var some = statistics(tokens, 3, 2, Arrays.copyOf(ids, 2 * tokens));
            assertEquals(some.loadVariation(), soFar[tokens - 1], 1e-14);
        }
    }

    @Test
    void routingEntropyIsTheMeanOverTokens() {
        double[] z = {0, 0, Math.log(3), 0};
        double second = -(.75 * Math.log(.75) + .25 * Math.log(.25));
        var routing = ScoreRouter.softmaxTopK(1, false).route(RouterInput.of(z, 2, 2));
        assertEquals((Math.log(2) + second) / 2, RoutingStatistics.of(routing).routingEntropy(), EPS);
    }

    @Test
    void droppedByPosition() {
        // two sequences of three, all to expert 0, which has room for four: the last token of the second and the one
        // before
        var input = RouterInput.builder(new double[12], 6, 2).shape(2, 3).build();
        var routing = Routers.megaBlocks(1, 0, ExpertCapacity.fixed(4)).route(input);
        assertArrayEquals(
                new double[] {0, 0.5, 0.5}, RoutingStatistics.of(routing).droppedByPosition());
    }

    @Test
    void coActivation() {
        var pairs = statistics(3, 3, 2, 0, 1, 1, 0, 2, -1).coActivation();
        assertArrayEquals(new long[] {2, 2, 0, 2, 2, 0, 0, 0, 1}, pairs);
    }

    @Test
    void specialisationByTokenId() {
        var input = RouterInput.builder(new double[12], 4, 3)
                .tokenIds(new int[] {7, 5, 7, 7})
                .build();
        var ids = new int[] {0, 1, 2, -1, 0, 2, 1, 0};
        var statistics = RoutingStatistics.of(Routing.of(input, 2, Gating.SOFTMAX, ids, new double[8]));
        var shares = statistics.specialisationByTokenId();
        assertEquals(List.of(5, 7), List.copyOf(shares.keySet()));
        assertArrayEquals(new double[] {0, 0, 1}, shares.get(5));
        assertArrayEquals(new double[] {1, 2. / 3, 1. / 3}, shares.get(7), EPS);
    }

    @Test
    void tokenIdInformation() {
        var input = RouterInput.builder(new double[8], 4, 2)
                .tokenIds(new int[] {1, 1, 2, 2})
                .build();
        var decided = Routing.of(input, 1, Gating.SOFTMAX, new int[] {0, 0, 1, 1}, new double[4]);
        assertEquals(1, RoutingStatistics.of(decided).tokenIdInformation(), EPS);
        var independent = Routing.of(input, 1, Gating.SOFTMAX, new int[] {0, 1, 0, 1}, new double[4]);
        assertEquals(0, RoutingStatistics.of(independent).tokenIdInformation(), EPS);
    }

    @Test
    void nothingRouted() {
        var none = RoutingStatistics.of(ScoreRouter.softmaxTopK(1, false)
                .route(RouterInput.builder(new double[0], 0, 2)
                        .tokenIds(new int[0])
                        .build()));
        assertEquals(0, none.loadVariation());
        assertEquals(0, none.loadEntropy());
        assertEquals(0, none.routingEntropy());
        assertEquals(0, none.tokenIdInformation());
        assertEquals(0, none.droppedByPosition().length);
        assertEquals(0, none.specialisationByTokenId().size());
        assertArrayEquals(new long[4], none.coActivation());
    }
}
