package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.moe.router.TokenRoundingSelection.Rounding;
import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class SelectionTest {

    private static int[] select(Selection selection, int topK, RouterInput input) {
        return ScoreRouter.builder(topK)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(selection)
                .build()
                .route(input)
                .expertIds();
    }

    @Test
    void biasChangesTheChoiceNotTheWeights() {
        double[] z = {3, 2, 1, 0};
        var input = RouterInput.builder(z, 1, 4)
                .selectionBias(new double[] {0, 0, 0, 1})
                .build();
        Routing routing = ScoreRouter.builder(2)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(TopKSelection.BY_SCORE_PLUS_BIAS)
                .build()
                .route(input);
        assertArrayEquals(new int[] {3, 0}, routing.expertIds());
        assertArrayEquals(new double[] {0.5, 1 / (1 + Math.exp(-3))}, routing.weights(), 1e-15);
    }

    @Test
    void groupsByBestAndByTwoBest() {
        var input = RouterInput.of(new double[] {5, -9, 3, 2, 1, 1.5}, 1, 6);
        assertArrayEquals(
                new int[] {0, 1}, select(new TopKSelection(By.SCORE, new GroupLimit(3, 1, GroupScore.MAX)), 2, input));
        assertArrayEquals(
                new int[] {2, 3},
                select(new TopKSelection(By.SCORE, new GroupLimit(3, 1, GroupScore.TOP2_SUM)), 2, input));
        assertArrayEquals(
                new int[] {2, 3, 5},
                select(new TopKSelection(By.SCORE, new GroupLimit(3, 2, GroupScore.TOP2_SUM)), 3, input));
    }

    @Test
    void maskedGroupsStayOutWhenAllChoiceScoresAreNegative() {
        var input = RouterInput.builder(new double[] {0, 0, 0, 0}, 1, 4)
                .selectionBias(new double[] {-3, -2, -9, -8})
                .build();
        var selection = new TopKSelection(By.SCORE_PLUS_BIAS, new GroupLimit(2, 1, GroupScore.TOP2_SUM));
        assertArrayEquals(new int[] {1, 0}, select(selection, 2, input));
    }

    @Test
    void tiedGroupsGoToTheLowerGroup() {
        var selection = new TopKSelection(By.SCORE, new GroupLimit(3, 2, GroupScore.MAX));
        assertArrayEquals(new int[] {0, 1, 2}, select(selection, 3, RouterInput.of(new double[6], 1, 6)));
    }

    @Test
    void tiesAcrossGroupsGoToTheLowerExpertWhicheverGroupIsBetter() {
        var input = RouterInput.of(new double[] {1, 3, 4, 1, 0, 0}, 1, 6);
        var selection = new TopKSelection(By.SCORE, new GroupLimit(3, 2, GroupScore.MAX));
        assertArrayEquals(new int[] {2, 1, 0}, select(selection, 3, input));
    }

    @Test
    void hashTableInTableOrder() {
        var table = new HashSelection(new int[] {2, 0, 1, 2, 0, 1}, 3, 2);
        var input = RouterInput.builder(new double[12], 4, 3)
                .tokenIds(new int[] {1, 0, 2, 1})
                .build();
        assertArrayEquals(new int[] {1, 2, 2, 0, 0, 1, 1, 2}, select(table, 2, input));
        Routing even = Routers.hash(2, table).route(input);
        assertArrayEquals(new double[] {.5, .5, .5, .5, .5, .5, .5, .5}, even.weights());
    }

    @Test
    void balancedHashSpreadsFrequencies() {
        var table = HashSelection.balanced(new long[] {10, 6, 5, 4, 1}, 1, 3);
        var input = RouterInput.builder(new double[15], 5, 3)
                .tokenIds(new int[] {0, 1, 2, 3, 4})
                .build();
        assertArrayEquals(new int[] {0, 1, 2, 2, 1}, select(table, 1, input));
    }

    @Test
    void randomHashIsFixedByItsSeed() {
        var ids = new int[50];
        Arrays.setAll(ids, i -> i);
        var input = RouterInput.builder(new double[50 * 8], 50, 8).tokenIds(ids).build();
        int[] first = select(HashSelection.random(50, 3, 8, 7), 3, input);
        assertArrayEquals(first, select(HashSelection.random(50, 3, 8, 7), 3, input));
        assertTrue(!Arrays.equals(first, select(HashSelection.random(50, 3, 8, 8), 3, input)));
        assertArrayEquals(first, select(new RandomSelection(7), 3, input));
    }

    @Test
    void randomSelectionIsUniform() {
        int tokens = 6000;
        var counts = new int[6];
        for (int id : select(new RandomSelection(1), 2, RouterInput.of(new double[tokens * 6], tokens, 6))) {
            counts[id]++;
        }
        for (int count : counts) {
            // binomial with mean 2000 and standard deviation 37: five deviations
            assertEquals(2000, count, 183);
        }
    }

    @Test
    void uniformAssignment() {
        int[] ids = select(new UniformSelection(), 2, RouterInput.of(RouterCases.normal(12, 1, 1), 4, 3));
        assertArrayEquals(new int[] {0, 1, 2, 0, 1, 2, 0, 1}, ids);
    }

    @Test
    void expertChoiceTakesTheBestTokensOfEachExpert() {
        // rows are tokens; each of 2 experts takes floor(1 * 4 / 2) = 2 of them
        double[] z = {4, 0, 3, 2, 2, 3, 1, -5};
        Routing routing = ScoreRouter.builder(2)
                .gating(Gating.of(ScoreFunction.SIGMOID))
                .selection(new ExpertChoiceSelection(1))
                .build()
                .route(RouterInput.of(z, 4, 2));
        assertArrayEquals(new int[] {0, -1, 0, 1, 1, -1, -1, -1}, routing.expertIds());
        assertEquals(1 / (1 + Math.exp(-2)), routing.weights()[3], 1e-15);
        assertArrayEquals(new int[] {2, 2}, routing.tokensPerExpert());
    }

    @Test
    void expertChoiceTakesAtMostAllTokens() {
        int[] ids = select(new ExpertChoiceSelection(9), 2, RouterInput.of(new double[] {1, 2, 2, 1}, 2, 2));
        assertArrayEquals(new int[] {1, 0, 0, 1}, ids);
    }

    @Test
    void tokenRoundingMovesLoadsToMultiples() {
        int tokens = 53;
        int experts = 7;
        var input = RouterInput.of(RouterCases.normal(tokens * experts, 2, 6), tokens, experts);
        int[] before = ScoreRouter.softmaxTopK(2, false).route(input).tokensPerExpert();
        for (Rounding rounding : Rounding.values()) {
            var selection = new TokenRoundingSelection(TopKSelection.BY_SCORE, 2, 4, rounding);
            int[] after = ScoreRouter.builder(experts)
                    .selection(selection)
                    .build()
                    .route(input)
                    .tokensPerExpert();
            for (int e = 0; e < experts; e++) {
                assertEquals(expected(before[e], rounding), after[e], rounding + " expert " + e);
            }
        }
    }

    private static int expected(int load, Rounding rounding) {
        return 4
                * switch (rounding) {
                    case UP -> (load + 3) / 4;
                    case DOWN -> load / 4;
                    case NEAREST -> (load + 2) / 4;
                };
    }

    @Test
    void tokenRoundingAddsTheBestAndRemovesTheWorst() {
        // token choice gives expert 0 tokens 0 1 2 and expert 1 token 3
        double[] z = {3, 1, 2, 0, 1, 0.5, 0, 1};
        var input = RouterInput.of(z, 4, 2);
        var down = new TokenRoundingSelection(TopKSelection.BY_SCORE, 1, 2, Rounding.DOWN);
        assertArrayEquals(new int[] {0, -1, 0, -1, -1, -1, -1, -1}, select(down, 2, input));
        var up = new TokenRoundingSelection(TopKSelection.BY_SCORE, 1, 2, Rounding.UP);
        assertArrayEquals(new int[] {0, 1, 0, -1, 0, -1, 1, 0}, select(up, 2, input));
    }

    @Test
    void tokenRoundingGoesDownWhenNoTokenHasASlotLeft() {
        double[] z = {3, 1, 2, 0, 1, 0.5, 0, 1};
        var up = new TokenRoundingSelection(TopKSelection.BY_SCORE, 1, 4, Rounding.UP);
        int[] ids = select(up, 1, RouterInput.of(z, 4, 2));
        // both experts want all four tokens and each token has one slot: expert 0 gives up, expert 1 then finds them
        // free
        assertArrayEquals(new int[] {1, 1, 1, 1}, ids);
    }
}
