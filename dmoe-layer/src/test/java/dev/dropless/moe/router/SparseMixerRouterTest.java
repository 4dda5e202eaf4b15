package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.moe.router.RouterNoise.Draw;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SparseMixerRouterTest {

    private static final double[] Z = {2, 1.9, -1, 1};

    private static double share(double of, double... all) {
        double sum = 0;
        for (double z : all) {
            sum += Math.exp(z);
        }
        return Math.exp(of) / sum;
    }

    @Test
    void evaluationMasksFarLogits() {
        // eps 0.1: masked where (m - z) / max(|z|, m) > 0.2. First m = 2: experts 2 and 3 are out. Second m = 1.9,
        // likewise.
        Routing routing = new SparseMixerRouter(0.1).route(RouterInput.of(Z, 1, 4));
        assertArrayEquals(new int[] {0, 1}, routing.expertIds());
        assertArrayEquals(new double[] {share(2, 2, 1.9), 1}, routing.weights(), 1e-15);
    }

    @Test
    void smallLogitsAreComparedOnTheScaleOfTheLargest() {
        // eps 0.3: expert 3 is (2 - 1) / max(1, 2) = 0.5 away and stays, expert 2 is 3 / 2 away
        Routing routing = new SparseMixerRouter(0.3).route(RouterInput.of(Z, 1, 4));
        assertArrayEquals(new double[] {share(2, 2, 1.9, 1), share(1.9, 1.9, 1)}, routing.weights(), 1e-15);
    }

    @Test
    void wideMaskKeepsAll() {
        Routing routing = new SparseMixerRouter(5).route(RouterInput.of(Z, 1, 4));
        assertArrayEquals(new double[] {share(2, 2, 1.9, -1, 1), share(1.9, 1.9, -1, 1)}, routing.weights(), 1e-15);
    }

    private static Routing train(double uniformFirst) {
        // exponential draws: argmax of z - ln(draw) is expert 3 first, then expert 0, the best of the rest
        var noise = RouterNoise.replay(Map.of(
                Draw.FIRST_EXPONENTIAL, new double[] {1, 1, 1, .01},
                Draw.FIRST_UNIFORM, new double[] {uniformFirst},
                Draw.SECOND_EXPONENTIAL, new double[] {1, 5, 1, 1e-9},
                Draw.SECOND_UNIFORM, new double[] {0}));
        var input = RouterInput.builder(Z, 1, 4).training(true).noise(noise).build();
        return new SparseMixerRouter(5).route(input);
    }

    @Test
    void trainingSamplesAndScalesExploredExperts() {
        double q = share(1, 2, 1.9, -1, 1);
        double second = share(2, 2, 1.9, -1);
        Routing explored = train(0.5);
        assertArrayEquals(new int[] {3, 0}, explored.expertIds());
        assertArrayEquals(new double[] {q * 0.3333, second}, explored.weights(), 1e-15);
        assertArrayEquals(new double[] {q, second}, train(0.76).weights(), 1e-15);
    }

    @Test
    void trainingBackwardLeavesTheFactorOut() {
        var dLogits = new double[4];
        new SparseMixerRouter(5).backward(train(0.5), new double[] {2, 0}, dLogits);
        double q = share(1, 2, 1.9, -1, 1);
        for (int e = 0; e < 4; e++) {
            double expected = 2 * q * ((e == 3 ? 1 : 0) - share(Z[e], 2, 1.9, -1, 1));
            assertEquals(expected, dLogits[e], 1e-15);
        }
    }

    @Test
    void nanNeverGivesTheSameExpertTwice() {
        double nan = Double.NaN;
        int[] ids = new SparseMixerRouter(0.1)
                .route(RouterInput.of(new double[] {nan, nan, nan, nan, 1, nan}, 2, 3))
                .expertIds();
        assertArrayEquals(new int[] {0, 1, 1, 0}, ids);
    }
}
