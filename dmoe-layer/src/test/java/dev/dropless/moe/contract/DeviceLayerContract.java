package dev.dropless.moe.contract;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.reference.ReferenceBackend;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.Combination;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.Jitter;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.WeightPlacement;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.loss.SwitchBalancingLoss;
import dev.dropless.moe.router.ExpertCapacity;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routers;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.moe.router.SparseMixerRouter;
import dev.dropless.moe.router.TopKSelection;
import dev.dropless.moe.router.TopKSelection.By;
import dev.dropless.moe.router.TopKSelection.GroupLimit;
import dev.dropless.moe.router.TopKSelection.GroupScore;
import dev.dropless.moe.router.WeightRule;
import dev.dropless.moe.router.WeightRule.Normalization;
import dev.dropless.moe.router.WeightRule.Source;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Whole layers on a device, their router there too, against the float64 reference that routes on the host. */
public abstract class DeviceLayerContract {

    private static final int HIDDEN = 20;
    private static final int FFN = 12;
    private static final int[] TOKENS = {0, 1, 19};

    /** Sums of single-precision roundings, amplified where gradients of the router cancel. */
    private static final double TOLERANCE = 5e-5;

    /** Opens the back end under test. */
    protected abstract Kernels open();

    /** Closes what was opened; a test whose back end is slow to open may keep it for the next. */
    protected void release(Kernels kernels) {
        kernels.close();
    }

    /** The contract's sizes with a number of experts and a router. */
    protected static MoeConfig.Builder config(int experts, ScoreRouter router) {
        return MoeConfig.builder(HIDDEN, FFN, experts, router);
    }

    private static ScoreRouter router(
            int topK, ScoreFunction function, By by, @Nullable GroupLimit groups, WeightRule rule) {
        return ScoreRouter.builder(topK)
                .gating(Gating.of(function))
                .selection(new TopKSelection(by, groups))
                .weightRule(rule)
                .build();
    }

    /** The routers of many families, then every other option of a layer. */
    private static Map<String, MoeConfig> onDevice() {
        Map<String, MoeConfig> all = new LinkedHashMap<>();
        all.put("softmax", config(5, ScoreRouter.softmaxTopK(2, false)).build());
        all.put(
                "softmax, normalised, bias",
                config(40, ScoreRouter.softmaxTopK(3, true)).routerBias(true).build());
        all.put("one expert", config(1, ScoreRouter.softmaxTopK(1, true)).build());
        all.put("k = E", config(4, ScoreRouter.softmaxTopK(4, false)).build());
        for (ScoreFunction function : ScoreFunction.values()) {
            for (Source source : Source.values()) {
                WeightRule rule = new WeightRule(source, Normalization.sumPlus(1e-20), 2.5, false);
                all.put(
                        function + " weighted by " + source,
                        config(6, router(2, function, By.LOGITS, null, rule)).build());
            }
        }
        for (GroupScore score : GroupScore.values()) {
            all.put(
                    "groups by " + score,
                    config(
                                    12,
                                    router(
                                            3,
                                            ScoreFunction.SIGMOID,
                                            By.SCORE_PLUS_BIAS,
                                            new GroupLimit(4, 2, score),
                                            WeightRule.SCORES.normalized(Normalization.SUM)))
                            .selectionBias(true)
                            .build());
        }
        WeightRule norm = new WeightRule(Source.SCORE, new Normalization(2, 0, 0.3), 1, false);
        all.put(
                "2-norm with a floor, soft cap",
                config(
                                6,
                                ScoreRouter.builder(2)
                                        .gating(new Gating(ScoreFunction.SOFTMAX, 1.5, false))
                                        .weightRule(norm)
                                        .build())
                        .build());
        all.put("frozen", config(4, ScoreRouter.builder(2).frozen(true).build()).build());
        for (WeightPlacement placement : WeightPlacement.values()) {
            all.put("everything, weights on the " + placement, everythingOn(4, 3, placement));
        }
        all.put(
                "jitter",
                config(4, ScoreRouter.softmaxTopK(2, false))
                        .inputJitter(new Jitter(0.1, Jitter.Scope.LAYER))
                        .build());
        return all;
    }

    /** Identity experts, shared expert behind a gate, latent projections, every bias. */
    protected static MoeConfig everythingOn(int experts, int topK, WeightPlacement placement) {
        SharedExpert shared = new SharedExpert(
                new ExpertShape(1, HIDDEN, 7, true, true, true), Activation.of(Activation.Function.SILU), true);
        return config(experts, router(topK, ScoreFunction.SIGMOID, By.SCORE_PLUS_BIAS, null, WeightRule.SCORES))
                .expertBiases(true, true)
                .routerBias(true)
                .selectionBias(true)
                .weightPlacement(placement)
                .identityExperts(2)
                .latentSize(8)
                .shared(shared, Combination.WEIGHTED_BY_EXPERTS)
                .outputBias(true)
                .routedScale(1.3)
                .build();
    }

    /** What the device does not route, with the reason given. */
    private static Map<String, MoeConfig> onHost() {
        Map<String, MoeConfig> all = new LinkedHashMap<>();
        all.put(
                "host: the router drops by capacity",
                MoeConfig.builder(HIDDEN, FFN, 4, Routers.megaBlocks(2, 1, ExpertCapacity.factor(0.6)))
                        .build());
        all.put(
                "host: the device divides by norms of order 1 and 2, not 3.0",
                config(
                                4,
                                ScoreRouter.builder(2)
                                        .weightRule(WeightRule.SCORES.normalized(Normalization.norm(3)))
                                        .build())
                        .build());
        all.put(
                "host: the factor of the routed part is 0",
                config(4, ScoreRouter.softmaxTopK(2, false)).routedScale(0).build());
        all.put(
                "host: the gate is noisy",
                MoeConfig.builder(HIDDEN, FFN, 4, Routers.noisyTopK(2))
                        .noisyGating(true)
                        .build());
        all.put(
                "host: SparseMixerRouter is no ScoreRouter",
                MoeConfig.builder(HIDDEN, FFN, 4, new SparseMixerRouter(0.1)).build());
        return all;
    }

    @TestFactory
    Stream<DynamicTest> layersThatRouteOnTheDevice() {
        return onDevice().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> compare(e.getValue(), "device 0")));
    }

    @TestFactory
    Stream<DynamicTest> layersThatRouteOnTheHostSayWhy() {
        return onHost().entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> compare(e.getValue(), e.getKey())));
    }

    private void compare(MoeConfig config, String place) {
        Kernels device = open();
        try {
            compare(device, config, place);
        } finally {
            release(device);
        }
    }

    private static void compare(Kernels device, MoeConfig config, String place) {
        for (int tokens : TOKENS) {
            try (Kernels reference = new ReferenceBackend().open(BackendOptions.threads(1));
                    LayerRun found = new LayerRun(device, config, Precision.F32, tokens);
                    LayerRun expected = new LayerRun(reference, config, Precision.F64, tokens)) {
                assertThat(found.layer().routingPlace()).startsWith(place);
                for (boolean losses : new boolean[] {false, true}) {
                    check(found, expected, losses, "T = %d, losses %b".formatted(tokens, losses));
                }
            }
        }
    }

    private static void check(LayerRun found, LayerRun expected, boolean losses, String what) {
        check(found, expected, losses, TOLERANCE, what);
    }

    /** One step of both; y, dX and every gradient compared by norm. */
    public static void check(LayerRun found, LayerRun expected, boolean losses, double tolerance, String what) {
        ForwardOptions options = ForwardOptions.training(RouterNoise.seeded(3));
        for (LayerRun run : List.of(found, expected)) {
            run.step(
                    options,
                    MemoryPolicy.RECOMPUTE_ACTIVATION,
                    saved -> losses
                            ? List.<LossValue>of(
                                    new RouterZLoss(0.3).evaluate(saved.routing()),
                                    new SwitchBalancingLoss(0.2).evaluate(saved.routing()))
                            : List.<LossValue>of());
        }
        if (losses) {
            assertThat(found.routing().expertIds())
                    .as(what)
                    .isEqualTo(expected.routing().expertIds());
            assertThat(found.topology()).as(what).isEqualTo(expected.topology());
            assertClose(found.routing().weights(), expected.routing().weights(), 1e-5, what + " weights");
        }
        assertClose(found.y(), expected.y(), tolerance, what + " y");
        assertClose(found.dX(), expected.dX(), tolerance, what + " dX");
        Map<String, double[]> gradients = expected.gradients();
        found.gradients()
                .forEach((name, values) -> assertClose(
                        values, Objects.requireNonNull(gradients.get(name)), tolerance, what + " d" + name));
    }

    /**
     * Weights, activations, batch and results in bfloat16, against float64 sums of the same rounded numbers. The tensor cores take a weighted operand rounded once more: that is
     * within the limit.
     */
    @Test
    void inBfloat16OutputsAndGradientsAreWithinOnePercent() {
        MoeConfig config =
                MoeConfig.builder(64, 40, 4, ScoreRouter.softmaxTopK(2, true)).build();
        Kernels device = open();
        try (Kernels reference = new ReferenceBackend().open(BackendOptions.threads(1));
                LayerRun found = new LayerRun(device, config, Precision.BF16, ElementType.BF16, 70);
                LayerRun expected = new LayerRun(reference, config, Precision.BF16, ElementType.BF16, 70)) {
            check(found, expected, false, 1e-2, "BF16");
        } finally {
            release(device);
        }
    }

    /**
     * That recorded work computes what the calls compute that it was recorded from, bit for bit, for batches that came later.
     *
     * @param run the layer, whose gradients are what the work adds to
     * @param calls one pass forward and backward
     * @param recorded starts the record of it
     */
    public static void assertFollowsItsInput(LayerRun run, Runnable calls, Runnable recorded) {
        for (long seed : new long[] {17, 18}) {
            run.newBatch(seed);
            run.zeroGradients();
            recorded.run();
            double[] dX = run.dX();
            Map<String, double[]> gradients = run.gradients();
            run.zeroGradients();
            calls.run();
            assertThat(dX).isEqualTo(run.dX());
            run.gradients()
                    .forEach((name, values) ->
                            assertThat(gradients.get(name)).as(name).isEqualTo(values));
        }
    }

    /** Compares in the 2-norm. */
    public static void assertClose(double[] found, double[] expected, double tolerance, String what) {
        assertThat(found).as(what).hasSameSizeAs(expected);
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < found.length; i++) {
            difference += (found[i] - expected[i]) * (found[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        assertThat(Math.sqrt(difference)).as(what).isLessThanOrEqualTo(tolerance * Math.sqrt(norm) + 1e-7);
    }
}
