package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.Scratch.Tile;
import java.util.Arrays;

/**
 * The tasks of a {@link Product}: rectangles of rows and panels, largest first. Rows are cut evenly to the height of a packed block; columns are cut further
 * only as far as it takes to keep all threads busy to the end, since every cut packs the rows once more.
 */
final class WorkList {

    /** Panels of one task at most: bounds the memory for results that wait for the next slab. */
    private static final int MAX_PANELS = 64;
    /** Tasks per thread that are enough for an even end. */
    private static final int TASKS_PER_THREAD = 8;
    /** Smallest task worth handing to another thread, in multiply-adds of one row: tens of microseconds. */
    private static final double MIN_COST = 1 << 21;
    /** Reading a panel costs as much as computing this many rows with it. */
    private static final int READ_COST = 12;
    /** With fewer rows a task takes as long as its panels take from memory, or nearly. */
    private static final int FEW_ROWS = 48;

    private static final int NONE = -1;

    private int size;
    private int[] groups = {};
    private int[] firstRows = {};
    private int[] heights = {};
    private int[] firstPanels = {};
    private int[] widths = {};
    private double[] costs = {};
    /** The task of few rows that is computed in turn with one of many, or NONE. */
    private int[] partners = {};
    /** Rank and number of each task, in order. */
    private long[] order = {};

    /**
     * Replaces what is listed by the tasks of a product. Arrays are grown and kept, so that a list used again allocates nothing.
     *
     * @param pairs whether tasks whose panels come slowly are to be computed in turn with others, see {@link TaskPair}
     */
    void list(Product product, int threads, boolean pairs) {
        double total = 0;
        for (int g = 0; g < product.groups(); g++) {
            total += tiles(product, g) * cost(product, g, height(product, g), product.panels(g));
        }
        double target = Math.max(MIN_COST, total / (threads * TASKS_PER_THREAD));
        size = 0;
        for (int g = 0; g < product.groups(); g++) {
            size = Math.addExact(size, Math.multiplyExact(tiles(product, g), cuts(product, g, target)));
        }
        if (size > order.length) {
            groups = new int[size];
            firstRows = new int[size];
            heights = new int[size];
            firstPanels = new int[size];
            widths = new int[size];
            costs = new double[size];
            partners = new int[size];
            order = new long[size];
        }
        fill(product, target);
        if (pairs) {
            pair(target);
        }
    }

    private static int tiles(Product product, int group) {
        return Math.ceilDiv(product.rows(group), ProductRunner.maxRows(product, group));
    }

    private static int height(Product product, int group) {
        return Math.ceilDiv(product.rows(group), Math.max(1, tiles(product, group)));
    }

    private static int cuts(Product product, int group, double target) {
        int panels = product.panels(group);
        double wanted = cost(product, group, height(product, group), panels) / target;
        return Math.max((int) Math.min(Math.ceil(wanted), panels), Math.ceilDiv(panels, MAX_PANELS));
    }

    private static double cost(Product product, int group, int rows, int panels) {
        return (double) (rows + READ_COST) * panels * TileKernels.PANEL * Math.max(1, product.depth(group));
    }

    private void fill(Product product, double target) {
        int next = 0;
        double most = 0;
        for (int g = 0; g < product.groups(); g++) {
            int tiles = tiles(product, g);
            int unit = ProductRunner.rowUnit(product);
            int units = Math.ceilDiv(product.rows(g), unit);
            int cuts = cuts(product, g, target);
            for (int tile = 0; tile < tiles; tile++) {
                for (int cut = 0; cut < cuts; cut++) {
                    groups[next] = g;
                    firstRows[next] = part(units, tile, tiles) * unit;
                    heights[next] = Math.min(part(units, tile + 1, tiles) * unit, product.rows(g)) - firstRows[next];
                    firstPanels[next] = part(product.panels(g), cut, cuts);
                    widths[next] = part(product.panels(g), cut + 1, cuts) - firstPanels[next];
                    costs[next] = cost(product, g, heights[next], widths[next]);
                    partners[next] = NONE;
                    most = Math.max(most, costs[next]);
                    next++;
                }
            }
        }
        sort(most);
    }

    /** Largest first; tasks of about the same cost stay neighbours, since they share operands. */
    private void sort(double most) {
        for (int i = 0; i < size; i++) {
            long rank = Math.round((1 - costs[i] / most) * (1 << 10));
            order[i] = rank << 32 | i;
        }
        Arrays.sort(order, 0, size);
    }

    /** Gives the smallest tasks to the largest ones, as long as those have many rows; together they are still no more than a thread should have at a time. */
    private void pair(double target) {
        int light = size - 1;
        for (int i = 0; i < light; i++) {
            int many = (int) order[i];
            int few = (int) order[light];
            if (heights[few] >= FEW_ROWS || heights[many] < FEW_ROWS) {
                break;
            }
            if (widths[few] == widths[many] && costs[few] + costs[many] <= target) {
                partners[many] = few;
                light--;
            }
        }
        size = light + 1;
    }

    private static int part(int size, int part, int parts) {
        return (int) ((long) size * part / parts);
    }

    int size() {
        return size;
    }

    /** Describes a task. */
    void read(int task, Tile tile) {
        describe((int) order[task], tile);
    }

    boolean hasPartner(int task) {
        return partners[(int) order[task]] != NONE;
    }

    /** Describes the task that belongs to another one. */
    void readPartner(int task, Tile tile) {
        describe(partners[(int) order[task]], tile);
    }

    private void describe(int i, Tile tile) {
        tile.group = groups[i];
        tile.row = firstRows[i];
        tile.rows = heights[i];
        tile.panel = firstPanels[i];
        tile.panels = widths[i];
    }
}
