package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Transpose;
import dev.dropless.topology.BlockPattern;
import java.util.Arrays;

/**
 * The stripes (block rows, or block columns of a transposed matrix) of op(s), with neighbours put together whose blocks lie in the same places: each such
 * group is a dense product. In the pattern of an MoE layer that gives back the experts, whatever the block size.
 *
 * <p>A stripe's blocks are its entries; the stripe of the other kind in which an entry lies is its partner.
 */
final class StripeGroups {

    private final BlockPattern pattern;
    private final boolean transposed;
    /** First stripe of each group, and the end. */
    private final int[] firsts;
    /** For each group, where each entry begins in a concatenation of all entries, and the length of that. */
    private final int[][] starts;

    StripeGroups(BlockPattern pattern, Transpose transpose) {
        this.pattern = pattern;
        this.transposed = transpose == Transpose.T;
        int stripes = transposed ? pattern.blockColumns() : pattern.blockRows();
        int[] found = new int[stripes + 1];
        int groups = 0;
        for (int stripe = 0; stripe < stripes; stripe++) {
            if (stripe == 0 || !samePartners(stripe - 1, stripe)) {
                found[groups++] = stripe;
            }
        }
        found[groups] = stripes;
        this.firsts = Arrays.copyOf(found, groups + 1);
        this.starts = new int[groups][];
        for (int g = 0; g < groups; g++) {
            starts[g] = starts(firsts[g]);
        }
    }

    private boolean samePartners(int x, int y) {
        int entries = entries(x);
        if (entries != entries(y)) {
            return false;
        }
        for (int i = 0; i < entries; i++) {
            if (partner(x, i) != partner(y, i)) {
                return false;
            }
        }
        return true;
    }

    private int[] starts(int stripe) {
        int[] result = new int[entries(stripe) + 1];
        for (int i = 0; i < result.length - 1; i++) {
            long size = partnerOffset(partner(stripe, i) + 1) - partnerOffset(partner(stripe, i));
            result[i + 1] = Math.addExact(result[i], (int) size);
        }
        return result;
    }

    int groups() {
        return starts.length;
    }

    int firstStripe(int group) {
        return firsts[group];
    }

    /** First row or column of op(s) in a group. */
    long offset(int group) {
        return stripeOffset(firsts[group]);
    }

    /** Rows or columns of op(s) in a group. */
    int size(int group) {
        return Math.toIntExact(offset(group + 1) - offset(group));
    }

    /** Where the entries begin in their concatenation; the last element is its length. */
    int[] entryStarts(int group) {
        return starts[group];
    }

    int depth(int group) {
        return starts[group][starts[group].length - 1];
    }

    int entries(int stripe) {
        return transposed
                ? pattern.firstTransposed(stripe + 1) - pattern.firstTransposed(stripe)
                : pattern.firstBlock(stripe + 1) - pattern.firstBlock(stripe);
    }

    int block(int stripe, int entry) {
        return transposed
                ? pattern.transposedBlock(pattern.firstTransposed(stripe) + entry)
                : pattern.firstBlock(stripe) + entry;
    }

    int partner(int stripe, int entry) {
        int block = block(stripe, entry);
        return transposed ? pattern.rowOf(block) : pattern.columnOf(block);
    }

    long stripeOffset(int stripe) {
        return transposed ? pattern.columnOffset(stripe) : pattern.rowOffset(stripe);
    }

    long partnerOffset(int partner) {
        return transposed ? pattern.rowOffset(partner) : pattern.columnOffset(partner);
    }

    /** The stripe in which a row or column of op(s) lies, searched from {@code stripe} on. */
    int stripeAt(int stripe, long position) {
        int result = stripe;
        while (stripeOffset(result + 1) <= position) {
            result++;
        }
        return result;
    }
}
