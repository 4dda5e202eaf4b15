package dev.dropless.moe;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.PaddedExecution;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Where a back end keeps rows in a narrow type, each is rounded once, forward and backward, and sums are not. */
class RowTypeTest {

    private static final int TOKENS = 11;
    private static final int HIDDEN = 9;
    private static final int EXPERTS = 3;

    /** y and dX. */
    private record Result(double[] y, double[] dX) {}

    /** Slots of a token go to different experts, with these weights. */
    private static MoeConfig.Builder config(int firstRank, double... weights) {
        int topK = weights.length;
        int[] ids = new int[TOKENS * topK];
        double[] all = new double[ids.length];
        for (int t = 0; t < TOKENS; t++) {
            for (int j = 0; j < topK; j++) {
                ids[t * topK + j] = (t * t + firstRank + j) % EXPERTS;
                all[t * topK + j] = weights[j];
            }
        }
        return MoeConfig.builder(HIDDEN, 7, EXPERTS, new FixedRouter(topK, ids, all))
                .expertBiases(true, true);
    }

    private static Result compute(MoeConfig config, @Nullable ElementType rows, boolean padded) {
        try (RecordingKernels kernels = new RecordingKernels(Fixture.reference(), rows);
                MoeLayer layer = MoeLayer.create(kernels, config, Precision.F64)) {
            Fixture.randomize(layer.parameters(), 3);
            if (!padded) {
                return step(layer);
            }
            try (MoeLayer other = PaddedExecution.layerLike(kernels, layer, CapacityPolicy.maximumLoad())) {
                return step(other);
            }
        }
    }

    private static Result step(MoeLayer layer) {
        try (MoeGradients gradients = layer.newGradients(Trainable.all(), ElementType.F64)) {
            Random random = new Random(7);
            Matrix x = Fixture.normal(random, TOKENS, HIDDEN);
            Matrix dY = Fixture.normal(random, TOKENS, HIDDEN);
            Matrix y = Fixture.poisoned(ElementType.F64, TOKENS, HIDDEN);
            Matrix dX = Fixture.poisoned(ElementType.F64, TOKENS, HIDDEN);
            SavedState saved =
                    layer.forwardTraining(x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
            layer.backward(saved, dY, dX, gradients, List.of());
            return new Result(y.toDoubles(), dX.toDoubles());
        }
    }

    /** first + factor second, each rounded to bfloat16 before. */
    private static double[] sumOfRounded(double[] first, double factor, double[] second) {
        double[] sum = new double[first.length];
        Arrays.setAll(sum, i -> rounded(first[i]) + factor * rounded(second[i]));
        return sum;
    }

    private static double rounded(double value) {
        Matrix one = Fixture.poisoned(ElementType.BF16, 1, 1);
        one.copyFrom(Matrix.of(new double[] {value}, 1, 1));
        return one.toDoubles()[0];
    }

    @Test
    void rowsAreRoundedOnceAndTheirSumIsNot() {
        Result first = compute(config(0, 1).build(), null, false);
        Result second = compute(config(1, 1).build(), null, false);
        Result both = compute(config(0, 1, 0.5).build(), ElementType.BF16, false);
        assertArrayEquals(sumOfRounded(first.y, 0.5, second.y), both.y);
        assertArrayEquals(sumOfRounded(first.dX, 0.5, second.dX), both.dX);
        assertNotEquals(first.y[0], rounded(first.y[0]));
    }

    @Test
    void thoseOfASharedExpertToo() {
        SharedExpert expert = new SharedExpert(
                new ExpertShape(1, HIDDEN, 5, true, true, true), Activation.of(Activation.Function.SILU), false);
        MoeConfig config = config(0, 0).shared(expert, Combination.SUM).build();
        Result wide = compute(config, null, false);
        Result narrow = compute(config, ElementType.BF16, false);
        double[] zeros = new double[wide.y.length];
        assertArrayEquals(sumOfRounded(wide.y, 0, zeros), narrow.y);
        assertArrayEquals(sumOfRounded(wide.dX, 0, zeros), narrow.dX);
    }

    /** The padded layer's products are dense ones of the same back end: it keeps no such rows. */
    @Test
    void thePaddedLayerSumsAsBefore() {
        MoeConfig config = config(0, 1, 0.5).build();
        Result wide = compute(config, null, true);
        Result narrow = compute(config, ElementType.BF16, true);
        assertArrayEquals(wide.y, narrow.y);
        assertArrayEquals(wide.dX, narrow.dX);
    }
}
