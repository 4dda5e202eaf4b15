package dev.dropless.topology;

/**
 * The rows of all experts cut into tiles of bounded height: one flat list, highest tiles first, that a scheduler walks
 * without knowing where one expert ends and the next begins. Tiles of the same height keep the order (expert, row), so
 * neighbours in the list share an expert's weights. No tile is empty, no tile spans two experts, and every row is in
 * exactly one tile. The same topology always gives the same list.
 */
public final class TilePlan {

    /** How an expert's rows are cut when they need more than one tile. */
    public enum Split {
        /** Tiles of the full height, then one with the remainder: 64 rows by 10 are six of 10 and one of 4. */
        FULL,
        /** As many tiles, heights differing by at most one: 64 rows by 10 are one of 10 and six of 9. */
        EVEN
    }

    private final int[] experts;
    private final int[] firstRows;
    private final int[] heights;

    private TilePlan(int tiles) {
        this.experts = new int[tiles];
        this.firstRows = new int[tiles];
        this.heights = new int[tiles];
    }

    /**
     * Cuts the rows of every expert into tiles of the full height and a remainder.
     *
     * @param topology the rows
     * @param maxRows largest height of a tile, 1 or more
     * @return the tiles
     * @throws IllegalArgumentException if {@code maxRows} is less than 1
     */
    public static TilePlan of(Topology topology, int maxRows) {
        return of(topology, maxRows, Split.FULL);
    }

    /**
     * Cuts the rows of every expert into ceil(load / maxRows) tiles.
     *
     * @param topology the rows
     * @param maxRows largest height of a tile, 1 or more
     * @param split how the rows are shared out
     * @return the tiles
     * @throws IllegalArgumentException if {@code maxRows} is less than 1
     */
    public static TilePlan of(Topology topology, int maxRows, Split split) {
        Checks.atLeast("maxRows", maxRows, 1);
        int largest = Math.min(maxRows, topology.maxTokensPerExpert());
        int[] next = new int[largest + 1]; // by height: counts first, then the next place in the list
        int tiles = 0;
        for (int e = 0; e < topology.numExperts(); e++) {
            int load = topology.tokensPerExpert(e);
            int parts = Math.ceilDiv(load, maxRows);
            tiles += parts;
            for (int i = 0; i < parts; i++) {
                next[begin(load, parts, maxRows, split, i + 1) - begin(load, parts, maxRows, split, i)]++;
            }
        }
        int place = 0;
        for (int height = largest; height >= 0; height--) {
            int count = next[height];
            next[height] = place;
            place += count;
        }
        TilePlan plan = new TilePlan(tiles);
        for (int e = 0; e < topology.numExperts(); e++) {
            int load = topology.tokensPerExpert(e);
            int parts = Math.ceilDiv(load, maxRows);
            for (int i = 0; i < parts; i++) {
                int from = begin(load, parts, maxRows, split, i);
                int height = begin(load, parts, maxRows, split, i + 1) - from;
                plan.set(next[height]++, e, topology.offset(e) + from, height);
            }
        }
        return plan;
    }

    private static int begin(int load, int parts, int maxRows, Split split, int part) {
        return switch (split) {
            case FULL -> (int) Math.min((long) part * maxRows, load);
            case EVEN -> (int) ((long) load * part / parts);
        };
    }

    private void set(int tile, int expert, int firstRow, int height) {
        experts[tile] = expert;
        firstRows[tile] = firstRow;
        heights[tile] = height;
    }

    /**
     * Returns the number of tiles.
     *
     * @return 0 if there are no rows
     */
    public int tiles() {
        return experts.length;
    }

    /**
     * Returns the expert of a tile.
     *
     * @param tile 0..tiles-1
     * @return expert
     */
    public int expert(int tile) {
        return experts[tile];
    }

    /**
     * Returns the first row of a tile.
     *
     * @param tile 0..tiles-1
     * @return row of the topology
     */
    public int firstRow(int tile) {
        return firstRows[tile];
    }

    /**
     * Returns the height of a tile; it never grows from one tile to the next.
     *
     * @param tile 0..tiles-1
     * @return rows, 1 or more
     */
    public int rows(int tile) {
        return heights[tile];
    }

    /**
     * Returns the height of the highest tile, which scratch memory must hold.
     *
     * @return rows, 0 if there are no tiles
     */
    public int maxRows() {
        return heights.length == 0 ? 0 : heights[0];
    }

    @Override
    public String toString() {
        return "TilePlan[tiles=%d, maxRows=%d]".formatted(tiles(), maxRows());
    }
}
