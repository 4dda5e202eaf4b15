package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.kernels.tornado.engine.Tables;
import java.util.Arrays;

/** Writes the tables of a grouped product (see {@link Tables}) and runs it. */
final class GroupTable {

    private int[] groups = new int[16 * Tables.GROUP_WORDS];
    private int[] segments = new int[16 * Tables.SEGMENT_WORDS];
    private int groupCount;
    private int segmentCount;
    private int rows;
    private int tiles;
    private int columns;

    /**
     * Begins a group; its segments follow.
     *
     * @param groupRows rows of its result; a group without elements is left out
     * @param groupColumns columns of its result
     * @param base where the result begins
     * @param row its row stride
     * @param column its column stride
     * @return whether the group has elements, so that segments may be added
     */
    boolean group(int groupRows, int groupColumns, int base, int row, int column) {
        return group(groupRows, groupColumns, base, row, column, Tables.NONE, Tables.NONE, Tables.NONE);
    }

    /** As above, with where its bias, the numbers of its rows and their factors lie, or NONE. */
    boolean group(int groupRows, int groupColumns, int base, int row, int column, int bias, int rowMap, int rowScale) {
        if (groupRows == 0 || groupColumns == 0) {
            return false;
        }
        int at = groupCount++ * Tables.GROUP_WORDS;
        if (at == groups.length) {
            groups = Arrays.copyOf(groups, 2 * groups.length);
        }
        groups[at + Tables.FIRST_ROW] = rows;
        groups[at + Tables.FIRST_TILE] = tiles;
        groups[at + Tables.ROWS] = groupRows;
        groups[at + Tables.COLUMNS] = groupColumns;
        groups[at + Tables.C_BASE] = base;
        groups[at + Tables.C_ROW] = row;
        groups[at + Tables.C_COLUMN] = column;
        groups[at + Tables.FIRST_SEGMENT] = segmentCount;
        groups[at + Tables.BIAS] = bias;
        groups[at + Tables.ROW_MAP] = rowMap;
        groups[at + Tables.ROW_SCALE] = rowScale;
        rows = Math.addExact(rows, groupRows);
        tiles += Math.ceilDiv(groupRows, Kernel.TILE);
        columns = Math.max(columns, groupColumns);
        return true;
    }

    /** Adds a segment to the last group: places and strides of both operands, and the length of the summation. */
    void segment(int aBase, int aRow, int aDepth, int bBase, int bDepth, int bColumn, int depth) {
        segment(aBase, aRow, aDepth, bBase, bDepth, bColumn, depth, Tables.NONE, Tables.NONE, Tables.NONE);
    }

    /** As above, with where the numbers of the operands' steps and the steps' factors lie, or NONE. */
    void segment(
            int aBase,
            int aRow,
            int aDepth,
            int bBase,
            int bDepth,
            int bColumn,
            int depth,
            int aMap,
            int bMap,
            int depthScale) {
        int at = segmentCount++ * Tables.SEGMENT_WORDS;
        if (at == segments.length) {
            segments = Arrays.copyOf(segments, 2 * segments.length);
        }
        segments[at + Tables.A_BASE] = aBase;
        segments[at + Tables.A_ROW] = aRow;
        segments[at + Tables.A_DEPTH] = aDepth;
        segments[at + Tables.B_BASE] = bBase;
        segments[at + Tables.B_DEPTH] = bDepth;
        segments[at + Tables.B_COLUMN] = bColumn;
        segments[at + Tables.DEPTH] = depth;
        segments[at + Tables.A_MAP] = aMap;
        segments[at + Tables.B_MAP] = bMap;
        segments[at + Tables.DEPTH_SCALE] = depthScale;
        groups[(groupCount - 1) * Tables.GROUP_WORDS + Tables.SEGMENTS]++;
    }

    /** Overwrites the results with the product, or adds it to them. */
    void product(Device device, boolean accumulate) {
        run(device, Kernel.PRODUCT, Kernel.PRODUCT_TILES, Kernel.TILE, new Arguments().flag(accumulate));
    }

    /**
     * As above, with both operands of a type: tensor cores multiply 16-bit ones. They give whole tiles, which another
     * kernel takes from scratch memory to the results.
     */
    void product(Device device, ElementType type, boolean accumulate) {
        if (type == ElementType.F32) {
            product(device, accumulate);
            return;
        }
        if (groupCount == 0) {
            return;
        }
        int tileColumns = Math.ceilDiv(columns, Kernel.TILE);
        int scratch = device.takeFloats((long) tiles * tileColumns * Kernel.TILE * Kernel.TILE);
        try {
            withTables(device, (records, segmentsAt) -> {
                int[] words = {columns, groupCount, records, segmentsAt, scratch / Kernel.TILE, tileColumns};
                Kernel kernel = type == ElementType.BF16 ? Kernel.PRODUCT_BF16 : Kernel.PRODUCT_F16;
                device.launch(kernel, new Arguments().add(tiles).add(words), tileColumns, tiles);
                device.launch(
                        Kernel.PRODUCT_STORE,
                        new Arguments().add(rows).add(words).flag(accumulate),
                        columns,
                        rows);
            });
        } finally {
            device.giveFloats(scratch);
        }
    }

    /** Adds the products of numbered and weighted steps to the results. */
    void outer(Device device) {
        run(device, Kernel.OUTER, Kernel.OUTER_TILES, Kernel.TILE, new Arguments().flag(true));
    }

    /** Computes the up-projection; arguments after those that describe the tables. */
    void up(Device device, Arguments further) {
        run(device, Kernel.UP, Kernel.UP_TILES, Kernel.TILE / 2, further);
    }

    private void run(Device device, Kernel loops, Kernel tiled, int tileColumns, Arguments further) {
        if (groupCount == 0) {
            return;
        }
        withTables(device, (records, segmentsAt) -> {
            boolean isTiled = device.isTiled();
            Arguments arguments = further.after(isTiled ? tiles : rows, columns, groupCount, records, segmentsAt);
            if (isTiled) {
                device.launch(tiled, arguments, Math.ceilDiv(columns, tileColumns), tiles);
            } else {
                device.launch(loops, arguments, columns, rows);
            }
        });
    }

    /** What is run while the tables are on the device. */
    private interface Body {
        void run(int records, int segments);
    }

    private void withTables(Device device, Body body) {
        int groupWords = groupCount * Tables.GROUP_WORDS;
        int[] tables = Arrays.copyOf(groups, groupWords + segmentCount * Tables.SEGMENT_WORDS);
        System.arraycopy(segments, 0, tables, groupWords, segmentCount * Tables.SEGMENT_WORDS);
        int offset = device.takeInts(tables);
        try {
            body.run(offset, offset + groupWords);
        } finally {
            device.giveInts(offset);
        }
    }
}
