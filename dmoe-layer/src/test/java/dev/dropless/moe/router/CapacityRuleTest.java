package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.moe.router.CapacityRule.Order;
import dev.dropless.moe.router.CapacityRule.Scope;
import dev.dropless.moe.router.WeightRule.Normalization;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CapacityRuleTest {

    /** Four tokens, probabilities as given; choices (0,1) (0,1) (1,0) (0,2). */
    private static final double[] P = {.5, .3, .2, .6, .3, .1, .2, .7, .1, .8, .05, .15};

    private static RouterInput input(int batch) {
        var logits = new double[P.length];
        for (int i = 0; i < P.length; i++) {
            logits[i] = Math.log(P[i]);
        }
        return RouterInput.builder(logits, 4, 3).shape(batch, 4 / batch).build();
    }

    private static Routing route(int slots, Scope scope, Order order, WeightRule rule, int batch) {
        return ScoreRouter.builder(2)
                .capacity(new CapacityRule(ExpertCapacity.fixed(slots), scope, order))
                .weightRule(rule)
                .build()
                .route(input(batch));
    }

    private static int[] kept(int slots, Scope scope, Order order, int batch) {
        Routing routing = route(slots, scope, order, WeightRule.SCORES, batch);
        assertArrayEquals(new int[] {0, 1, 0, 1, 1, 0, 0, 2}, routing.selectedIds());
        assertArrayEquals(new int[] {4, 3, 1}, routing.selectedPerExpert());
        return routing.expertIds();
    }

    @Test
    void slotOrderKeepsEarlierTokens() {
        assertArrayEquals(new int[] {0, 1, 0, 1, -1, -1, -1, 2}, kept(2, Scope.BATCH, Order.SLOT, 1));
    }

    @Test
    void choiceOrderKeepsFirstChoices() {
        assertArrayEquals(new int[] {0, 1, 0, -1, 1, -1, -1, 2}, kept(2, Scope.BATCH, Order.CHOICE, 1));
    }

    @Test
    void priorityKeepsSureTokens() {
        // p of the first choices: .5 .6 .7 .8, so tokens queue 3 2 1 0
        assertArrayEquals(new int[] {-1, -1, 0, 1, 1, -1, 0, 2}, kept(2, Scope.BATCH, Order.PRIORITY, 1));
    }

    @Test
    void sequencesDoNotCompete() {
        assertArrayEquals(new int[] {0, 1, -1, -1, 1, 0, -1, 2}, kept(1, Scope.SEQUENCE, Order.SLOT, 2));
        assertArrayEquals(new int[] {-1, -1, 0, 1, 1, -1, 0, 2}, kept(1, Scope.SEQUENCE, Order.PRIORITY, 2));
    }

    @Test
    void trainingHasACapacityOfItsOwn() {
        var rule = new CapacityRule(ExpertCapacity.fixed(4), ExpertCapacity.fixed(2), Scope.BATCH, Order.SLOT);
        ScoreRouter router = ScoreRouter.builder(2).capacity(rule).build();
        assertArrayEquals(
                new int[] {0, 1, 0, 1, 1, 0, 0, 2}, router.route(input(1)).expertIds());
        RouterInput training =
                RouterInput.builder(input(1).logits(), 4, 3).training(true).build();
        assertArrayEquals(
                new int[] {0, 1, 0, 1, -1, -1, -1, 2}, router.route(training).expertIds());
    }

    @Test
    void capacityZeroDropsEverything() {
        Routing routing = route(0, Scope.BATCH, Order.SLOT, WeightRule.SOFTMAX_OF_SELECTED.afterDropping(), 1);
        assertArrayEquals(new int[] {-1, -1, -1, -1, -1, -1, -1, -1}, routing.expertIds());
        assertArrayEquals(new double[8], routing.weights());
    }

    @Test
    void normalisationBeforeOrAfterDropping() {
        var sum = WeightRule.SCORES.normalized(Normalization.SUM);
        double[] before = {5. / 8, 3. / 8, 2. / 3, 0, 7. / 9, 0, 0, .15 / .95};
        assertArrayEquals(before, route(2, Scope.BATCH, Order.CHOICE, sum, 1).weights(), 1e-15);
        double[] after = {5. / 8, 3. / 8, 1, 0, 1, 0, 0, 1};
        var kept = sum.afterDropping();
        assertArrayEquals(after, route(2, Scope.BATCH, Order.CHOICE, kept, 1).weights(), 1e-15);
    }

    @Test
    void capacities() {
        assertEquals(7, ExpertCapacity.fixed(7).slots(100, 2, 4));
        assertEquals(15, ExpertCapacity.factor(1).slots(30, 2, 4));
        assertEquals(9, ExpertCapacity.factor(1.25).slots(15, 2, 4));
        assertEquals(Integer.MAX_VALUE, ExpertCapacity.factor(0).slots(15, 2, 4));
        assertEquals(8, ExpertCapacity.tokenFraction(0.2).slots(40, 2, 8));
        assertEquals(9, ExpertCapacity.tokenFraction(0.2).slots(41, 2, 8));
        assertEquals(14, ExpertCapacity.meanLoad(2).slots(33, 2, 5));
        assertEquals(1 << 29, ExpertCapacity.factor(1).slots(1 << 30, 8, 16));
    }

    @Test
    void randomSecondExpertFollowsItsDraw() {
        // weights of the second choices by their sum: 3/8 1/3 2/9 .158; kept where 2w is above the draw
        double[] draws = {.74, .67, .44, .32};
        var noise = RouterNoise.replay(Map.of(RouterNoise.Draw.SECOND_CHOICE_UNIFORM, draws));
        var training = RouterInput.builder(input(1).logits(), 4, 3)
                .training(true)
                .noise(noise)
                .build();
        Routing routing = Routers.gshard(0).route(training);
        assertArrayEquals(new int[] {0, 1, 0, -1, 1, 0, 0, -1}, routing.expertIds());
        assertArrayEquals(
                new double[] {5. / 8, 3. / 8, 2. / 3, 0, 7. / 9, 2. / 9, .8 / .95, 0}, routing.weights(), 1e-15);
        assertArrayEquals(
                routing.selectedIds(), Routers.gshard(0).route(input(1)).expertIds());
    }
}
