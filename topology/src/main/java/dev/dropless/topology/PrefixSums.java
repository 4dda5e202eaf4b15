package dev.dropless.topology;

/** Exclusive prefix sums of loads: entry e is where segment e begins, the last entry is the total. */
final class PrefixSums {

    private PrefixSums() {}

    /** Returns the segment that holds {@code index}; past the end it is the last one. Empty segments hold nothing. */
    static int segmentOf(int[] sums, int index) {
        int low = 0;
        int high = sums.length - 1;
        while (high - low > 1) { // sums[low] <= index, and index < sums[high] unless it is past the end
            int middle = (low + high) >>> 1;
            if (sums[middle] <= index) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /** Returns the inclusive sums: where each segment ends. */
    static int[] inclusive(int[] sums) {
        int[] ends = new int[sums.length - 1];
        System.arraycopy(sums, 1, ends, 0, ends.length);
        return ends;
    }
}
