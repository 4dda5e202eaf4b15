package dev.dropless.topology;

import java.util.Arrays;

/**
 * The index arrays of a block pattern under the names STK and MegaBlocks give them, 32 bits each. A plain carrier:
 * the arrays are the caller's, and equality is that of the array objects; {@link BlockPattern#sameBlocks} compares
 * contents.
 *
 * @param offsets first block of each block row, then the number of blocks: [blockRows + 1]
 * @param columnIndices block column of each block: [blocks]
 * @param rowIndices block row of each block: [blocks]
 * @param offsetsT first position of each block column in transposed order, then the number of blocks: [blockColumns +
 *     1]
 * @param columnIndicesT block <em>row</em> at each position of the transposed order (STK: column_indices_t): [blocks]
 * @param rowIndicesT block <em>column</em> at each position of the transposed order: [blocks]
 * @param blockOffsetsT block at each position of the transposed order: [blocks]
 */
@SuppressWarnings("ArrayRecordComponent") // arrays are what other systems ask for
public record BcsrArrays(
        int[] offsets,
        int[] columnIndices,
        int[] rowIndices,
        int[] offsetsT,
        int[] columnIndicesT,
        int[] rowIndicesT,
        int[] blockOffsetsT) {

    /**
     * Writes out the arrays of a pattern.
     *
     * @param pattern any pattern
     * @return new arrays
     */
    public static BcsrArrays of(BlockPattern pattern) {
        int blocks = pattern.blocks();
        int[] offsets = new int[pattern.blockRows() + 1];
        Arrays.setAll(offsets, pattern::firstBlock);
        int[] columns = new int[blocks];
        Arrays.setAll(columns, pattern::columnOf);
        int[] rows = new int[blocks];
        Arrays.setAll(rows, pattern::rowOf);
        int[] offsetsT = new int[pattern.blockColumns() + 1];
        Arrays.setAll(offsetsT, pattern::firstTransposed);
        int[] blockOffsetsT = new int[blocks];
        Arrays.setAll(blockOffsetsT, pattern::transposedBlock);
        int[] columnsT = new int[blocks];
        Arrays.setAll(columnsT, p -> rows[blockOffsetsT[p]]);
        int[] rowsT = new int[blocks];
        Arrays.setAll(rowsT, p -> columns[blockOffsetsT[p]]);
        return new BcsrArrays(offsets, columns, rows, offsetsT, columnsT, rowsT, blockOffsetsT);
    }
}
