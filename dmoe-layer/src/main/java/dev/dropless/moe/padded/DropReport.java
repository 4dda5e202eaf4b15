package dev.dropless.moe.padded;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.topology.Topology;

/**
 * What a capacity costs for one batch: dropped slots and computed padding. Token = sequence number * sequence length + position.
 *
 * @param numExperts E
 * @param capacity C, rows of each expert
 * @param assignedSlots slots that the router gave to an expert
 * @param droppedSlots those of them that are dropped, ascending
 * @param droppedByPosition for each position in a sequence, the fraction of its assigned slots, over all sequences, that is dropped; 0 where there are none
 */
@SuppressWarnings("ArrayRecordComponent") // plain results; never compared
public record DropReport(
        int numExperts, int capacity, int assignedSlots, int[] droppedSlots, double[] droppedByPosition) {

    /**
     * Counts what would be dropped.
     *
     * @param routed the router's assignments
     * @param policy the capacity
     * @param batch number of sequences, 1 or more, dividing the tokens
     * @return the report
     * @throws IllegalArgumentException if {@code batch} does not divide the tokens
     */
    public static DropReport of(Topology routed, CapacityPolicy policy, int batch) {
        if (batch < 1 || routed.tokens() % batch != 0) {
            throw new IllegalArgumentException(
                    "batch: expected a divisor of the %d tokens, found %d".formatted(routed.tokens(), batch));
        }
        Bins bins = new Bins(routed, policy.capacity(routed));
        int sequence = routed.tokens() / batch;
        int[] dropped = new int[routed.rows() - bins.kept().rows()];
        int[] droppedAt = new int[sequence];
        int[] assignedAt = new int[sequence];
        int next = 0;
        for (int slot = 0; slot < routed.slots(); slot++) {
            int position = slot / routed.topK() % Math.max(1, sequence);
            if (routed.rowOfSlot(slot) != Topology.UNASSIGNED) {
                assignedAt[position]++;
                if (bins.rowOfSlot(slot) == Topology.UNASSIGNED) {
                    droppedAt[position]++;
                    dropped[next++] = slot;
                }
            }
        }
        double[] byPosition = new double[sequence];
        for (int s = 0; s < sequence; s++) {
            byPosition[s] = assignedAt[s] == 0 ? 0 : (double) droppedAt[s] / assignedAt[s];
        }
        return new DropReport(routed.numExperts(), bins.capacity(), routed.rows(), dropped, byPosition);
    }

    /**
     * Returns the share of the assigned slots that is dropped.
     *
     * @return 0 to 1; 0 without slots
     */
    public double droppedFraction() {
        return assignedSlots == 0 ? 0 : (double) droppedSlots.length / assignedSlots;
    }

    /**
     * Returns the rows that hold a token.
     *
     * @return assigned slots less dropped ones
     */
    public long usefulRows() {
        return (long) assignedSlots - droppedSlots.length;
    }

    /**
     * Returns the rows that are computed.
     *
     * @return E * C
     */
    public long paddedRows() {
        return (long) numExperts * capacity;
    }

    /**
     * Returns the share of the computed rows that is padding.
     *
     * @return 0 to 1; 0 without rows
     */
    public double paddingWaste() {
        return paddedRows() == 0 ? 0 : 1 - (double) usefulRows() / paddedRows();
    }

    /**
     * Returns the floating-point operations of the forward products for rows that hold a token; backward has twice as many.
     *
     * @param shape the experts
     * @return 2 H (P + F) for each row
     */
    public long usefulFlops(ExpertShape shape) {
        return usefulRows() * flopsPerRow(shape);
    }

    /**
     * Returns the floating-point operations of the forward products that are done, padding included; backward has twice as many.
     *
     * @param shape the experts
     * @return 2 H (P + F) for each row
     */
    public long paddedFlops(ExpertShape shape) {
        return paddedRows() * flopsPerRow(shape);
    }

    private static long flopsPerRow(ExpertShape shape) {
        return 2L * shape.hiddenSize() * ((long) shape.preActivations() + shape.ffnHiddenSize());
    }
}
