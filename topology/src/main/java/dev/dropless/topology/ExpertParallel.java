package dev.dropless.topology;

import java.util.Arrays;

/**
 * Who owns which expert, and what goes to whom, when the experts of one layer are spread over several ranks. Integers
 * only: moving the rows is the caller's business.
 *
 * <p>W ranks form min(W, E) expert shards of E / min(W, E) experts; with more ranks than experts the W / E ranks of a
 * shard each hold an equal part of every expert's {@code ffnHiddenSize}, and rows go to all of them. One exchange is:
 * each rank sorts its slots by expert ({@link Topology}), sends {@link #countsToSend} and then its sorted rows
 * ({@link #sendCounts} of them to each peer); from the counts that arrive, {@link #receive} says how the rows that
 * arrive are sorted by local expert.
 *
 * <p>Source: MegaBlocks' expert model parallelism, layers/moe.py and layers/mpu.py.
 *
 * @param worldSize number of ranks W, 1 or more
 * @param numExperts number of experts E of the layer, 1 or more; a multiple of min(W, E)
 */
public record ExpertParallel(int worldSize, int numExperts) {

    /**
     * Checks the sizes.
     *
     * @throws IllegalArgumentException if a size is less than 1, or the larger of the two is no multiple of the smaller
     */
    public ExpertParallel {
        Checks.atLeast("worldSize", worldSize, 1);
        Checks.atLeast("numExperts", numExperts, 1);
        if (worldSize < numExperts && numExperts % worldSize != 0) {
            throw Checks.mismatch("numExperts", "a multiple of worldSize = " + worldSize, numExperts);
        }
        if (worldSize > numExperts && worldSize % numExperts != 0) {
            throw Checks.mismatch("worldSize", "a multiple of numExperts = " + numExperts, worldSize);
        }
    }

    /**
     * Returns the number of parts the experts are divided into.
     *
     * @return min(W, E)
     */
    public int expertShards() {
        return Math.min(worldSize, numExperts);
    }

    /**
     * Returns the number of parts each expert's {@code ffnHiddenSize} is divided into.
     *
     * @return W / min(W, E)
     */
    public int hiddenShards() {
        return worldSize / expertShards();
    }

    /**
     * Returns the number of experts each rank holds, whole or in part.
     *
     * @return E / min(W, E)
     */
    public int expertsPerRank() {
        return numExperts / expertShards();
    }

    /**
     * Returns the first expert a rank holds.
     *
     * @param rank 0..worldSize-1
     * @return expert
     */
    public int firstExpert(int rank) {
        return rank % expertShards() * expertsPerRank();
    }

    /**
     * Returns how many intermediate columns of each of its experts a rank holds.
     *
     * @param ffnHiddenSize F of the whole expert, 1 or more
     * @return F / hiddenShards
     * @throws IllegalArgumentException if {@code ffnHiddenSize} is less than 1 or no multiple of the hidden shards
     */
    public int ffnHiddenSizePerRank(int ffnHiddenSize) {
        Checks.atLeast("ffnHiddenSize", ffnHiddenSize, 1);
        if (ffnHiddenSize % hiddenShards() != 0) {
            throw Checks.mismatch("ffnHiddenSize", "a multiple of hiddenShards = " + hiddenShards(), ffnHiddenSize);
        }
        return ffnHiddenSize / hiddenShards();
    }

    /**
     * Returns the first intermediate column of its experts that a rank holds.
     *
     * @param rank 0..worldSize-1
     * @param ffnHiddenSize F of the whole expert, 1 or more
     * @return column
     * @throws IllegalArgumentException as {@link #ffnHiddenSizePerRank}
     */
    public int firstFfnColumn(int rank, int ffnHiddenSize) {
        return rank / expertShards() * ffnHiddenSizePerRank(ffnHiddenSize);
    }

    /**
     * Returns the integers of the first exchange: to each peer, the loads of the experts it holds.
     *
     * @param topology this rank's slots, over all experts of the layer
     * @return a new array [worldSize, expertsPerRank] row-major, row p for peer p
     * @throws IllegalArgumentException if the topology has another number of experts
     */
    public int[] countsToSend(Topology topology) {
        checkExperts(topology);
        int[] counts = new int[worldSize * expertsPerRank()];
        Arrays.setAll(
                counts, i -> topology.tokensPerExpert(i % numExperts)); // the shards, repeated for each hidden shard
        return counts;
    }

    /**
     * Returns how many rows go to each peer. They are this rank's rows from {@code
     * topology.offset(firstExpert(peer))} on.
     *
     * @param topology this rank's slots, over all experts of the layer
     * @return a new array [worldSize]
     * @throws IllegalArgumentException if the topology has another number of experts
     */
    public int[] sendCounts(Topology topology) {
        checkExperts(topology);
        int[] rows = new int[worldSize];
        Arrays.setAll(rows, p -> topology.offset(firstExpert(p) + expertsPerRank()) - topology.offset(firstExpert(p)));
        return rows;
    }

    private void checkExperts(Topology topology) {
        if (topology.numExperts() != numExperts) {
            throw Checks.mismatch("topology.numExperts", numExperts, topology.numExperts());
        }
    }

    /**
     * Works out how the rows that arrive at a rank are sorted by local expert. They arrive ordered by (source rank,
     * local expert, row at the source).
     *
     * @param receivedCounts what the peers' {@link #countsToSend} hold for this rank: [worldSize, expertsPerRank]
     *     row-major, row p from peer p; read, not kept
     * @return the bookkeeping of this rank
     * @throws IllegalArgumentException if the array has another length, a count is negative, or there are more than
     *     2^31-1 rows
     */
    public Received receive(int[] receivedCounts) {
        int local = expertsPerRank();
        Checks.length("receivedCounts", receivedCounts, "worldSize * expertsPerRank", (long) worldSize * local);
        long rows = 0;
        for (int i = 0; i < receivedCounts.length; i++) {
            rows += Checks.atLeast("receivedCounts[" + i + "]", receivedCounts[i], 0);
        }
        int[] expertIds = new int[Checks.fitsInt("received rows", rows, "worldSize = " + worldSize)];
        int[] receiveCounts = new int[worldSize];
        int[] replicateBins = new int[receivedCounts.length];
        int end = 0;
        for (int i = 0; i < receivedCounts.length; i++) {
            int begin = end;
            end += receivedCounts[i];
            receiveCounts[i / local] += receivedCounts[i];
            replicateBins[i] = end;
            Arrays.fill(expertIds, begin, end, i % local);
        }
        return new Received(receiveCounts, replicateBins, expertIds, Topology.of(expertIds, 1, local));
    }

    /**
     * What one rank knows about the rows it received. A plain carrier: the arrays are the caller's.
     *
     * @param receiveCounts rows from each peer: [worldSize]
     * @param replicateBins inclusive cumulative sum of the received counts: [worldSize * expertsPerRank]
     * @param expertIds local expert of each row in the order of arrival: [rows]
     * @param topology the rows sorted by local expert, with topK = 1 and the received rows as tokens
     */
    @SuppressWarnings("ArrayRecordComponent") // arrays are what the exchange of rows needs
    public record Received(int[] receiveCounts, int[] replicateBins, int[] expertIds, Topology topology) {

        /**
         * Returns the permutation that sorts the received rows by local expert.
         *
         * @return a new array [rows]: sorted position to position of arrival
         */
        public int[] permutation() {
            return topology.slotOfRow();
        }

        /**
         * Returns the end of each local expert's rows.
         *
         * @return a new array [expertsPerRank], the inclusive cumulative sum of the local loads
         */
        public int[] parallelBins() {
            return topology.bins();
        }
    }
}
