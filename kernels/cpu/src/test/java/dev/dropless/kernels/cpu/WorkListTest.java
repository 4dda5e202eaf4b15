package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.kernels.cpu.Scratch.Tile;
import org.junit.jupiter.api.Test;

class WorkListTest {

    private static final int PANELS = 9;
    private static final int DEPTH = 2048;

    /** Sizes alone. */
    private static final class Sizes extends ExpertProduct {
        private final int[] rows;

        Sizes(int... rows) {
            this.rows = rows;
        }

        @Override
        int groups() {
            return rows.length;
        }

        @Override
        int rows(int group) {
            return rows[group];
        }

        @Override
        int panels(int group) {
            return PANELS;
        }

        @Override
        int depth(int group) {
            return DEPTH;
        }

        @Override
        void packRows(int group, int row, int rows, int k, int depth, Scratch scratch) {
            throw new UnsupportedOperationException();
        }

        @Override
        int preparePanels(int group, int panel, int count, int k, int depth, Scratch scratch) {
            throw new UnsupportedOperationException();
        }

        @Override
        void end(int group, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
            throw new UnsupportedOperationException();
        }
    }

    /** Counts how often every row meets every panel, and returns the number of pairs. */
    private static int assertEverythingOnce(WorkList list, int... rows) {
        int[][][] seen = new int[rows.length][][];
        for (int g = 0; g < rows.length; g++) {
            seen[g] = new int[rows[g]][PANELS];
        }
        Tile tile = new Tile();
        int pairs = 0;
        for (int task = 0; task < list.size(); task++) {
            list.read(task, tile);
            count(tile, seen);
            if (list.hasPartner(task)) {
                int many = tile.rows;
                int panels = tile.panels;
                list.readPartner(task, tile);
                assertTrue(tile.rows < many, tile.rows + " rows with " + many);
                assertEquals(panels, tile.panels);
                count(tile, seen);
                pairs++;
            }
        }
        for (int[][] group : seen) {
            for (int[] row : group) {
                for (int times : row) {
                    assertEquals(1, times);
                }
            }
        }
        return pairs;
    }

    private static void count(Tile tile, int[][][] seen) {
        for (int i = tile.row; i < tile.row + tile.rows; i++) {
            for (int p = tile.panel; p < tile.panel + tile.panels; p++) {
                seen[tile.group][i][p]++;
            }
        }
    }

    @Test
    void pairsFewRowsWithMany() {
        int[] rows = {5, 300, 20, 0, 90, 20, 64, 47, 60, 20, 1, 48, 33, 70, 128, 2};
        WorkList list = new WorkList();
        list.list(new Sizes(rows), 1, true);
        assertEquals(8, assertEverythingOnce(list, rows));
        list.list(new Sizes(rows), 1, false);
        assertEquals(0, assertEverythingOnce(list, rows));
    }

    @Test
    void pairsNothingWhereAllHaveManyRowsOrAllFew() {
        WorkList list = new WorkList();
        for (int[] rows : new int[][] {{100, 128, 64, 48}, {1, 2, 47, 12, 12, 12}, {}, {0}}) {
            list.list(new Sizes(rows), 1, true);
            assertEquals(0, assertEverythingOnce(list, rows));
        }
    }

    /** A pair must not keep one thread busy when others have nothing left to do. */
    @Test
    void pairsNothingWhereThreadsAreMany() {
        int[] rows = {128, 10, 10};
        WorkList list = new WorkList();
        list.list(new Sizes(rows), 16, true);
        assertEquals(0, assertEverythingOnce(list, rows));
        assertFalse(list.size() == 0);
    }
}
