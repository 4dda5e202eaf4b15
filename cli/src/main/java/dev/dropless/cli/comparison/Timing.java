package dev.dropless.cli.comparison;

import java.util.Arrays;

/**
 * Times of several runs.
 *
 * @param forward nanoseconds of each forward pass, ascending
 * @param backward nanoseconds of each backward pass, ascending
 * @param both nanoseconds of each forward and backward pass together, ascending
 */
@SuppressWarnings("ArrayRecordComponent") // a plain carrier, never compared
public record Timing(long[] forward, long[] backward, long[] both) {

    static Timing of(long[] forward, long[] backward) {
        long[] both = new long[forward.length];
        Arrays.setAll(both, i -> forward[i] + backward[i]);
        Arrays.sort(both);
        Arrays.sort(forward);
        Arrays.sort(backward);
        return new Timing(forward, backward, both);
    }

    /**
     * Returns the median.
     *
     * @param sorted ascending times, at least one
     * @return the middle one, the later of two
     */
    public static long median(long[] sorted) {
        return sorted[sorted.length / 2];
    }
}
