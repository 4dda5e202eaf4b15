package dev.dropless.topology;

import static dev.dropless.topology.TestSupport.assertRejected;
import static dev.dropless.topology.TestSupport.ints;
import static dev.dropless.topology.TestSupport.randomIds;
import static dev.dropless.topology.TestSupport.withLoads;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TilePlanTest {

    private static int[] list(TilePlan plan, IntUnaryOperator property) {
        return IntStream.range(0, plan.tiles()).map(property).toArray();
    }

    @Test
    void listsTilesFromHighestToLowest() {
        TilePlan plan = TilePlan.of(withLoads(5, 0, 9, 1, 4), 4);
        assertArrayEquals(ints("4 4 4 4 1 1 1"), list(plan, plan::rows));
        assertArrayEquals(ints("0 2 2 4 0 2 3"), list(plan, plan::expert));
        assertArrayEquals(ints("0 5 9 15 4 13 14"), list(plan, plan::firstRow));
        assertEquals("TilePlan[tiles=7, maxRows=4]", plan.toString());
    }

    @Test
    void sharesRowsOutEvenlyOnRequest() {
        TilePlan even = TilePlan.of(withLoads(64), 10, TilePlan.Split.EVEN);
        assertArrayEquals(ints("10 9 9 9 9 9 9"), list(even, even::rows));
        TilePlan full = TilePlan.of(withLoads(64), 10, TilePlan.Split.FULL);
        assertArrayEquals(ints("10 10 10 10 10 10 4"), list(full, full::rows));
    }

    @Test
    void tilesCoverEveryRowOnceInOneExpertEach() {
        Random random = new Random(10);
        for (int i = 0; i < 300; i++) {
            int experts = 1 + random.nextInt(10);
            Topology topology = Topology.of(randomIds(random, random.nextInt(60), 2, experts), 2, experts);
            int maxRows = i % 10 == 0 ? Integer.MAX_VALUE : 1 + random.nextInt(20);
            for (TilePlan.Split split : TilePlan.Split.values()) {
                assertCovers(topology, maxRows, split);
            }
        }
    }

    private static void assertCovers(Topology topology, int maxRows, TilePlan.Split split) {
        TilePlan plan = TilePlan.of(topology, maxRows, split);
        int[] covered = new int[topology.rows()];
        int[] tilesOfExpert = new int[topology.numExperts()];
        int[] lowest = new int[topology.numExperts()];
        int[] highest = new int[topology.numExperts()];
        for (int i = 0; i < plan.tiles(); i++) {
            int e = plan.expert(i);
            int rows = plan.rows(i);
            assertTrue(rows >= 1 && rows <= maxRows);
            assertTrue(plan.firstRow(i) >= topology.offset(e));
            assertTrue(plan.firstRow(i) + rows <= topology.offset(e + 1));
            if (i > 0) {
                assertTrue(rows <= plan.rows(i - 1), "largest first");
                assertTrue(rows < plan.rows(i - 1) || plan.firstRow(i) > plan.firstRow(i - 1), "then by row");
            }
            for (int row = 0; row < rows; row++) {
                covered[plan.firstRow(i) + row]++;
            }
            lowest[e] = tilesOfExpert[e]++ == 0 ? rows : Math.min(lowest[e], rows);
            highest[e] = Math.max(highest[e], rows);
        }
        assertTrue(IntStream.of(covered).allMatch(n -> n == 1));
        assertEquals(IntStream.of(highest).max().orElseThrow(), plan.maxRows());
        for (int e = 0; e < topology.numExperts(); e++) {
            int load = topology.tokensPerExpert(e);
            assertEquals((load + (long) maxRows - 1) / maxRows, tilesOfExpert[e]);
            if (split == TilePlan.Split.EVEN) {
                assertTrue(highest[e] - lowest[e] <= 1);
            }
        }
    }

    @Test
    void manyTilesOfOneExpertDoNotOverflow() {
        for (TilePlan.Split split : TilePlan.Split.values()) {
            assertCovers(Topology.dense(1 << 20), 7, split);
        }
    }

    @Test
    void rejectsTilesWithoutRows() {
        assertRejected("maxRows: expected at least 1, found 0", () -> TilePlan.of(withLoads(3), 0));
    }
}
