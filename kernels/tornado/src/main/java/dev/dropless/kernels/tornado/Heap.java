package dev.dropless.kernels.tornado;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Which parts of a device array are in use. Offsets and lengths are multiples of {@link #ALIGNMENT} elements; element 0
 * belongs to nobody. First fit, so that the array stays short.
 */
final class Heap {

    /** Elements of two bytes in a cache line; those of four bytes fill two. */
    static final int ALIGNMENT = 32;

    /** The longest array: its elements are counted by ints. */
    static final int MAX_LENGTH = Integer.MAX_VALUE / ALIGNMENT * ALIGNMENT - ALIGNMENT;

    private final TreeMap<Integer, Integer> free = new TreeMap<>();
    private final Map<Integer, Integer> used = new HashMap<>();
    private int length;

    Heap(int length) {
        this.length = length;
        free.put(ALIGNMENT, length - ALIGNMENT);
    }

    /** Length of the array. */
    int length() {
        return length;
    }

    /** Number of allocations that were not freed. */
    int allocations() {
        return used.size();
    }

    /**
     * Takes elements.
     *
     * @param count 0 or more
     * @return the offset, or -1 if the array is too short
     */
    int take(long count) {
        long rounded = Math.max(1, Math.ceilDiv(count, ALIGNMENT)) * ALIGNMENT;
        Map.Entry<Integer, Integer> gap = firstGap(rounded);
        if (gap == null) {
            return -1;
        }
        int offset = gap.getKey();
        int left = gap.getValue() - (int) rounded;
        free.remove(offset);
        if (left > 0) {
            free.put(offset + (int) rounded, left);
        }
        used.put(offset, (int) rounded);
        return offset;
    }

    private Map.@Nullable Entry<Integer, Integer> firstGap(long count) {
        for (Map.Entry<Integer, Integer> gap : free.entrySet()) {
            if (count <= gap.getValue()) {
                return gap;
            }
        }
        return null;
    }

    /**
     * Returns the length at which {@link #take} would succeed, at least twice the present one.
     *
     * @param count elements
     * @return the length
     * @throws IllegalStateException if no array is so long
     */
    int lengthFor(long count) {
        long needed = length + (Math.max(1, Math.ceilDiv(count, ALIGNMENT)) + 1) * ALIGNMENT;
        if (needed > MAX_LENGTH) {
            throw new IllegalStateException(
                    "device memory: expected at most %d elements of four bytes in all, found %d in use and %d more"
                            .formatted(MAX_LENGTH, length, count));
        }
        return (int) Math.min(MAX_LENGTH, Math.max(needed, 2L * length));
    }

    /** Adds what the array has become longer by. */
    void grow(int newLength) {
        insert(length, newLength - length);
        length = newLength;
    }

    /** Gives elements back. */
    void give(int offset) {
        Integer count = used.remove(offset);
        if (count == null) {
            throw new IllegalStateException("nothing was taken at " + offset);
        }
        insert(offset, count);
    }

    private void insert(int offset, int count) {
        int first = offset;
        int end = offset + count;
        Map.Entry<Integer, Integer> before = free.lowerEntry(offset);
        if (before != null && before.getKey() + before.getValue() == offset) {
            first = before.getKey();
        }
        Integer after = free.remove(end);
        if (after != null) {
            end += after;
        }
        free.put(first, end - first);
    }
}
