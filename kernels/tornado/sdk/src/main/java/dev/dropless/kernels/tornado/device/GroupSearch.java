package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.GROUP_WORDS;

import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** Finds the group that a row, or a tile of rows, belongs to. */
final class GroupSearch {

    private GroupSearch() {}

    /**
     * Where the record of the last group lies whose first row, or tile, is at most this one; groups without rows are
     * passed over.
     *
     * @param field FIRST_ROW or FIRST_TILE
     */
    static int recordOf(IntArray ints, int table, int groups, int field, int number) {
        int low = 0;
        int high = groups - 1;
        while (low < high) {
            int middle = (low + high + 1) >> 1;
            boolean before = ints.get(table + middle * GROUP_WORDS + field) <= number;
            low = before ? middle : low;
            high = before ? high : middle - 1;
        }
        return table + low * GROUP_WORDS;
    }
}
