package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.dropless.moe.router.CapacityRule.Order;
import dev.dropless.moe.router.CapacityRule.Scope;
import dev.dropless.moe.router.TokenRoundingSelection.Rounding;
import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every refusal names argument, expected and found. */
class RouterArgumentsTest {

    private static final RouterInput PLAIN = RouterInput.of(new double[8], 2, 4);
    private static final RouterInput TRAINING =
            RouterInput.builder(new double[8], 2, 4).training(true).build();

    private static Arguments refuses(String message, Executable call) {
        return arguments(message, call);
    }

    private static ScoreRouter with(int topK, Selection selection) {
        return ScoreRouter.builder(topK).selection(selection).build();
    }

    static Stream<Arguments> inputs() {
        var builder = RouterInput.builder(new double[8], 2, 4);
        return Stream.of(
                refuses("tokens: expected at least 0, found -1", () -> RouterInput.of(new double[0], -1, 4)),
                refuses("numExperts: expected at least 1, found 0", () -> RouterInput.of(new double[0], 0, 0)),
                refuses(
                        "logits: expected 8 values (tokens x numExperts), found 7",
                        () -> RouterInput.of(new double[7], 2, 4)),
                refuses("batch: expected at least 0, found -2", () -> builder.shape(-2, -1)),
                refuses("sequence: expected at least 0, found -1", () -> builder.shape(2, -1)),
                refuses("batch x sequence: expected 2 tokens, found 3 x 1", () -> builder.shape(3, 1)),
                refuses(
                        "selectionBias: expected 4 values (numExperts), found 3",
                        () -> builder.selectionBias(new double[3])),
                refuses("tokenIds: expected 2 values (tokens), found 1", () -> builder.tokenIds(new int[1])),
                refuses(
                        "noiseLogits: expected 8 values (tokens x numExperts), found 2",
                        () -> builder.noiseLogits(new double[2])),
                refuses(
                        "recorded noise: expected LOGIT_GAUSSIAN, found []",
                        () -> RouterNoise.replay(Map.of()).draw(RouterNoise.Draw.LOGIT_GAUSSIAN, 1)),
                refuses(
                        "recorded noise FIRST_UNIFORM: expected 2 values (asked for by the router), found 1",
                        () -> RouterNoise.replay(Map.of(RouterNoise.Draw.FIRST_UNIFORM, new double[1]))
                                .draw(RouterNoise.Draw.FIRST_UNIFORM, 2)),
                refuses(
                        "noise: expected a source of numbers for SECOND_CHOICE_UNIFORM, found none",
                        () -> Routers.gshard(0).route(TRAINING)),
                refuses(
                        "count: expected at least 0, found -1",
                        () -> InputJitter.factors(RouterNoise.seeded(0), -1, 0)),
                refuses(
                        "eps: expected a finite number of at least 0, found -0.5",
                        () -> InputJitter.factors(RouterNoise.seeded(0), 1, -0.5)),
                refuses(
                        "tokensPerExpert: expected 2 values (length of bias), found 1",
                        () -> SelectionBias.updated(new double[2], new int[1], 1)),
                refuses(
                        "rate: expected a finite number of at least 0, found NaN",
                        () -> SelectionBias.updated(new double[1], new int[1], Double.NaN)));
    }

    static Stream<Arguments> options() {
        return Stream.of(
                refuses("topK: expected at least 1, found 0", () -> ScoreRouter.builder(0)),
                refuses(
                        "topK: expected 2 for a random second expert, found 3",
                        () -> ScoreRouter.builder(3).randomSecondExpert(true).build()),
                refuses(
                        "softCap: expected a finite number of at least 0, found -1.0",
                        () -> new Gating(ScoreFunction.SIGMOID, -1, false)),
                refuses("p: expected a finite number of at least 1, found 0.5", () -> Normalization.norm(0.5)),
                refuses("epsilon: expected a finite number of at least 0, found -1.0", () -> Normalization.sumPlus(-1)),
                refuses(
                        "floor: expected a finite number of at least 0, found Infinity",
                        () -> Normalization.sumAtLeast(Double.POSITIVE_INFINITY)),
                refuses("scale: expected a finite number, found NaN", () -> WeightRule.SCORES.scaled(Double.NaN)),
                refuses("slots: expected at least 0, found -1", () -> ExpertCapacity.fixed(-1)),
                refuses("factor: expected a finite number of at least 0, found -1.0", () -> ExpertCapacity.factor(-1)),
                refuses(
                        "fraction: expected a finite number of at least 0, found -1.0",
                        () -> ExpertCapacity.tokenFraction(-1)),
                refuses("multiple: expected at least 0, found -1", () -> ExpertCapacity.meanLoad(-1)),
                refuses("numGroups: expected at least 1, found 0", () -> new GroupLimit(0, 1, GroupScore.MAX)),
                refuses("topGroups: expected at least 1, found 0", () -> new GroupLimit(2, 0, GroupScore.MAX)),
                refuses(
                        "topGroups: expected at most numGroups = 2, found 3",
                        () -> new GroupLimit(2, 3, GroupScore.MAX)),
                refuses("vocabulary: expected at least 1, found 0", () -> new HashSelection(new int[0], 0, 1)),
                refuses(
                        "table: expected 4 values (vocabulary x topK), found 3",
                        () -> new HashSelection(new int[3], 2, 2)),
                refuses("table[1]: expected at least 0, found -1", () -> new HashSelection(new int[] {0, -1}, 2, 1)),
                refuses("topK: expected at most numExperts = 2, found 3", () -> HashSelection.random(4, 3, 2, 0)),
                refuses(
                        "frequencies[1]: expected at least 0, found -4",
                        () -> HashSelection.balanced(new long[] {1, -4}, 1, 2)),
                refuses(
                        "frequencies.length: expected at least 1, found 0",
                        () -> HashSelection.balanced(new long[0], 1, 2)),
                refuses(
                        "capacityFactor: expected a finite number above 0, found 0.0",
                        () -> new ExpertChoiceSelection(0)),
                refuses(
                        "baseTopK: expected at least 1, found 0",
                        () -> new TokenRoundingSelection(TopKSelection.BY_SCORE, 0, 1, Rounding.UP)),
                refuses(
                        "tile: expected at least 1, found 0",
                        () -> new TokenRoundingSelection(TopKSelection.BY_SCORE, 1, 0, Rounding.UP)),
                refuses(
                        "jitterEps: expected a finite number of at least 0, found -1.0",
                        () -> new SparseMixerRouter(-1)));
    }

    static Stream<Arguments> routes() {
        var table = new HashSelection(new int[] {9, 0}, 2, 1);
        return Stream.of(
                refuses(
                        "topK: expected at most numExperts = 4, found 5",
                        () -> ScoreRouter.softmaxTopK(5, false).route(PLAIN)),
                refuses(
                        "noiseLogits: expected tokens x numExperts values for noisy gating, found none",
                        () -> Routers.noisyTopK(2).route(TRAINING)),
                refuses(
                        "selectionBias: expected numExperts values for selection by bias, found none",
                        () -> with(2, TopKSelection.BY_SCORE_PLUS_BIAS).route(PLAIN)),
                refuses(
                        "numGroups: expected a divisor of numExperts = 4, found 3",
                        () -> grouped(1, 3, 1, GroupScore.MAX)),
                refuses(
                        "numGroups: expected groups of 2 experts or more for TOP2_SUM, found 1",
                        () -> grouped(1, 4, 1, GroupScore.TOP2_SUM)),
                refuses(
                        "topK: expected at most topGroups x group size = 2, found 3",
                        () -> grouped(3, 2, 1, GroupScore.MAX)),
                refuses(
                        "topK: expected 1 as in the hash table, found 2",
                        () -> with(2, table).route(PLAIN)),
                refuses(
                        "tokenIds: expected one id per token for hash routing, found none",
                        () -> with(1, table).route(PLAIN)),
                refuses("tokenIds[1]: expected 0 to 1, found 2", () -> hashed(table, 1, 2)),
                refuses("hash table row 0: expected experts 0 to 3, found 9", () -> hashed(table, 0, 1)),
                refuses(
                        "topK: expected numExperts = 4 for expert choice, found 2",
                        () -> with(2, new ExpertChoiceSelection(1)).route(PLAIN)),
                refuses(
                        "baseTopK: expected at most topK = 2, found 3",
                        () -> Routers.tokenRounding(3, 2, 4).route(PLAIN)),
                refuses(
                        "numExperts: expected at least 2, found 1",
                        () -> new SparseMixerRouter(0).route(RouterInput.of(new double[1], 1, 1))));
    }

    private static void grouped(int topK, int groups, int top, GroupScore score) {
        with(topK, new TopKSelection(By.SCORE, new GroupLimit(groups, top, score)))
                .route(PLAIN);
    }

    private static void hashed(HashSelection table, int... ids) {
        with(1, table)
                .route(RouterInput.builder(new double[8], 2, 4).tokenIds(ids).build());
    }

    static Stream<Arguments> routings() {
        Router router = ScoreRouter.softmaxTopK(2, true);
        Routing routing = router.route(PLAIN);
        Routing single = ScoreRouter.softmaxTopK(1, true).route(PLAIN);
        var sequences = new SequenceRouter(router);
        return Stream.of(
                refuses(
                        "dWeights: expected 4 values (tokens x topK), found 3",
                        () -> router.backward(routing, new double[3], new double[8])),
                refuses(
                        "dLogits: expected 8 values (tokens x numExperts), found 9",
                        () -> router.backward(routing, new double[4], new double[9])),
                refuses(
                        "routing: expected one with topK = 2, found topK = 1",
                        () -> router.backward(single, new double[2], new double[8])),
                refuses(
                        "routing: expected one with topK = 2, found topK = 1",
                        () -> new SparseMixerRouter(0).backward(single, new double[2], new double[8])),
                refuses(
                        "routing: expected one of single tokens, found one of a sequence-level router",
                        () -> router.backward(sequences.route(PLAIN), new double[4], new double[8])),
                refuses(
                        "routing: expected one of a sequence-level router, found one of single tokens",
                        () -> sequences.backward(routing, new double[4], new double[8])),
                refuses(
                        "dScores: expected 8 values (tokens x numExperts), found 1",
                        () -> routing.addScoreGradient(new double[1], new double[8])),
                refuses(
                        "dGate: expected 8 values (tokens x numExperts), found 1",
                        () -> routing.addGateGradient(new double[1], new double[8])),
                refuses(
                        "dNoiseLogits: expected 8 values (tokens x numExperts), found 1",
                        () -> routing.addNoiseGradient(new double[8], new double[1])),
                refuses("topK: expected at least 1, found 0", () -> made(0)),
                refuses("topK: expected at most numExperts = 4, found 5", () -> made(5)),
                refuses("expertIds: expected 2 values (tokens x topK), found 3", () -> made(1, 0, 0, 0)),
                refuses("expertIds[1]: expected -1 to 3, found 4", () -> made(1, 0, 4)),
                refuses("expertIds[0]: expected -1 to 3, found -2", () -> made(1, -2, 0)),
                refuses(
                        "weights: expected 2 values (tokens x topK), found 0",
                        () -> Routing.of(PLAIN, 1, Gating.SOFTMAX, new int[2], new double[0])),
                refuses(
                        "tokenIds: expected one id per token, found none",
                        () -> RoutingStatistics.of(routing).tokenIdInformation()));
    }

    private static void made(int topK, int... ids) {
        Routing.of(PLAIN, topK, Gating.SOFTMAX, ids, new double[ids.length]);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource({"inputs", "options", "routes", "routings"})
    void message(String expected, Executable call) {
        assertEquals(
                expected, assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    @ParameterizedTest
    @MethodSource("capacityScopes")
    void emptyBatchIsNoError(Scope scope, Order order) {
        var router = ScoreRouter.builder(1)
                .capacity(new CapacityRule(ExpertCapacity.meanLoad(1), scope, order))
                .build();
        var input = RouterInput.builder(new double[0], 0, 3).shape(4, 0).build();
        assertEquals(0, router.route(input).expertIds().length);
    }

    static Stream<Arguments> capacityScopes() {
        return Stream.of(Scope.values())
                .flatMap(scope -> Stream.of(Order.values()).map(order -> arguments(scope, order)));
    }
}
