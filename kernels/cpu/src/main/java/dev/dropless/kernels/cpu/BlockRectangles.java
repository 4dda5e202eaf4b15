package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Transpose;
import dev.dropless.topology.BlockPattern;
import java.util.Arrays;

/** The stored blocks of a pattern put together to rectangles: neighbouring block rows with the same blocks, runs of neighbouring block columns in them. */
final class BlockRectangles {

    private final BlockPattern pattern;
    private final StripeGroups groups;
    private int count;
    private int[] group = new int[16];
    private int[] firstEntry = new int[16];
    private int[] endEntry = new int[16];

    BlockRectangles(BlockPattern pattern) {
        this.pattern = pattern;
        this.groups = new StripeGroups(pattern, Transpose.N);
        for (int g = 0; g < groups.groups(); g++) {
            int stripe = groups.firstStripe(g);
            int entries = groups.entries(stripe);
            for (int from = 0; from < entries; ) {
                int to = from + 1;
                while (to < entries && groups.partner(stripe, to) == groups.partner(stripe, to - 1) + 1) {
                    to++;
                }
                add(g, from, to);
                from = to;
            }
        }
    }

    private void add(int g, int from, int to) {
        if (count == group.length) {
            group = Arrays.copyOf(group, 2 * count);
            firstEntry = Arrays.copyOf(firstEntry, 2 * count);
            endEntry = Arrays.copyOf(endEntry, 2 * count);
        }
        group[count] = g;
        firstEntry[count] = from;
        endEntry[count] = to;
        count++;
    }

    int count() {
        return count;
    }

    int firstBlockRow(int rectangle) {
        return groups.firstStripe(group[rectangle]);
    }

    /** Place of the first block inside each of the block rows. */
    int firstEntry(int rectangle) {
        return firstEntry[rectangle];
    }

    long firstRow(int rectangle) {
        return groups.offset(group[rectangle]);
    }

    int rows(int rectangle) {
        return groups.size(group[rectangle]);
    }

    long firstColumn(int rectangle) {
        return pattern.columnOffset(groups.partner(firstBlockRow(rectangle), firstEntry[rectangle]));
    }

    int columns(int rectangle) {
        int[] starts = groups.entryStarts(group[rectangle]);
        return starts[endEntry[rectangle]] - starts[firstEntry[rectangle]];
    }

    /** First row of every rectangle. */
    long[] firstRows() {
        long[] result = new long[count];
        Arrays.setAll(result, this::firstRow);
        return result;
    }

    /** First column of every rectangle. */
    long[] firstColumns() {
        long[] result = new long[count];
        Arrays.setAll(result, this::firstColumn);
        return result;
    }
}
