package dev.dropless.moe.padded;

import dev.dropless.topology.Topology;
import java.util.Arrays;

/**
 * The padded rows of a batch: expert e owns the rows e*C .. e*C+C-1, filled from the top with its first slots, earlier slots first. Source: binned_gather and
 * binned_scatter of MegaBlocks.
 */
final class Bins {

    /** In place of a slot: this row is padding. */
    static final int PADDING = -1;

    private final int capacity;
    private final Topology kept;
    private final int[] slotOfRow;
    private final int[] rowOfSlot;

    Bins(Topology routed, int capacity) {
        int experts = routed.numExperts();
        if ((long) experts * capacity > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "capacity: expected numExperts * capacity below 2^31, found %d * %d".formatted(experts, capacity));
        }
        this.capacity = capacity;
        slotOfRow = new int[experts * capacity];
        rowOfSlot = new int[routed.slots()];
        int[] ids = new int[routed.slots()];
        Arrays.fill(slotOfRow, PADDING);
        Arrays.fill(rowOfSlot, Topology.UNASSIGNED);
        Arrays.fill(ids, Topology.UNASSIGNED);
        for (int e = 0; e < experts; e++) {
            int load = Math.min(capacity, routed.tokensPerExpert(e));
            for (int j = 0; j < load; j++) {
                int slot = routed.slotOfRow(routed.offset(e) + j);
                slotOfRow[e * capacity + j] = slot;
                rowOfSlot[slot] = e * capacity + j;
                ids[slot] = e;
            }
        }
        kept = Topology.of(ids, routed.topK(), experts);
    }

    /** C. */
    int capacity() {
        return capacity;
    }

    /** Rows of all experts, padding included: E * C. */
    int rows() {
        return slotOfRow.length;
    }

    /** What was not dropped. */
    Topology kept() {
        return kept;
    }

    /** The slot in a padded row, or {@link #PADDING}. */
    int slotOfRow(int row) {
        return slotOfRow[row];
    }

    /** The padded row of a slot, or {@link Topology#UNASSIGNED}. */
    int rowOfSlot(int slot) {
        return rowOfSlot[slot];
    }
}
