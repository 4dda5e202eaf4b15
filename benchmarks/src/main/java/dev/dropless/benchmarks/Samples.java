package dev.dropless.benchmarks;

import java.util.Arrays;

/** The last numbers of a series, and the median of the later half of them: the earlier half may be warm-up. */
final class Samples {

    /** A power of two of them. */
    private final long[] last = new long[1024];

    private int count;

    /** Adds a number; allocates nothing. */
    void add(long value) {
        last[count++ & (last.length - 1)] = value;
    }

    boolean isEmpty() {
        return count == 0;
    }

    /** Of at least one number. */
    long median() {
        long[] later = new long[Math.max(1, Math.min(count, last.length) / 2)];
        for (int i = 0; i < later.length; i++) {
            later[i] = last[(count - 1 - i) & (last.length - 1)];
        }
        Arrays.sort(later);
        return later[later.length / 2];
    }
}
