package dev.dropless.topology;

/**
 * Turns the router's expert ids into a {@link Topology} with one stable counting sort: O(T*k + E) work, the same
 * result for any number of threads.
 *
 * <p>The ids are cut into chunks. Each chunk counts its ids; an exclusive sum over (expert, chunk) gives every chunk
 * its own first row in every expert; then each chunk places its slots in order. Chunks never write to the same place,
 * and the order inside an expert is slot order, so earlier tokens come first.
 *
 * <p>A builder is immutable and may be used by several threads.
 */
public final class TopologyBuilder {

    /** Below this many slots per chunk a further thread costs more than it gains. */
    private static final int MIN_CHUNK = 16 * 1024;

    private final int numExperts;
    private final int topK;
    private final TaskRunner tasks;

    /**
     * Creates a builder that works on the calling thread.
     *
     * @param numExperts number of experts, 1 or more
     * @param topK slots per token, 1 or more
     * @throws IllegalArgumentException if a size is out of range
     */
    public TopologyBuilder(int numExperts, int topK) {
        this(numExperts, topK, TaskRunner.sequential());
    }

    /**
     * Creates a builder that works on the threads of a runner.
     *
     * @param numExperts number of experts, 1 or more
     * @param topK slots per token, 1 or more
     * @param tasks runs the chunks
     * @throws IllegalArgumentException if a size is out of range
     */
    public TopologyBuilder(int numExperts, int topK, TaskRunner tasks) {
        this.numExperts = Checks.atLeast("numExperts", numExperts, 1);
        this.topK = Checks.atLeast("topK", topK, 1);
        this.tasks = tasks;
    }

    /**
     * Sorts the slots by expert.
     *
     * @param expertIds expert of every slot, [tokens, topK] row-major: 0..numExperts-1, or {@link
     *     Topology#UNASSIGNED}; read, not kept
     * @return the topology
     * @throws IllegalArgumentException if the length is no multiple of topK or an id is out of range
     */
    public Topology build(int[] expertIds) {
        if (expertIds.length % topK != 0) {
            throw Checks.mismatch("expertIds.length", "a multiple of topK = " + topK, expertIds.length);
        }
        int chunkLength = Math.max(MIN_CHUNK, numExperts); // the sum over chunks must not cost more than the slots do
        return build(expertIds, Math.clamp(expertIds.length / chunkLength, 1, tasks.parallelism()));
    }

    /** As {@link #build(int[])}, with the number of chunks given; package-private so that tests can force it. */
    Topology build(int[] expertIds, int chunks) {
        int slots = expertIds.length;
        int[][] next = new int[chunks][numExperts]; // counts first, then each chunk's next row in each expert
        int[] firstBad = new int[chunks];
        tasks.run(chunks, c -> {
            firstBad[c] = count(expertIds, begin(slots, chunks, c), begin(slots, chunks, c + 1), next[c]);
        });
        rejectBadSlots(expertIds, firstBad);

        int[] offsets = new int[numExperts + 1];
        int row = 0;
        for (int e = 0; e < numExperts; e++) {
            offsets[e] = row;
            for (int[] chunk : next) {
                int count = chunk[e];
                chunk[e] = row;
                row += count;
            }
        }
        offsets[numExperts] = row;

        int[] slotOfRow = new int[row];
        int[] rowOfSlot = new int[slots];
        tasks.run(chunks, c -> {
            int end = begin(slots, chunks, c + 1);
            for (int slot = begin(slots, chunks, c); slot < end; slot++) {
                int expert = expertIds[slot];
                int target = expert == Topology.UNASSIGNED ? Topology.UNASSIGNED : next[c][expert]++;
                rowOfSlot[slot] = target;
                if (target >= 0) {
                    slotOfRow[target] = slot;
                }
            }
        });
        return new Topology(slots / topK, topK, offsets, slotOfRow, rowOfSlot);
    }

    private static int begin(int slots, int chunks, int chunk) {
        return (int) ((long) slots * chunk / chunks);
    }

    /** Counts the ids of one chunk; returns the first slot with an id out of range, or -1. */
    private int count(int[] expertIds, int from, int to, int[] counts) {
        for (int slot = from; slot < to; slot++) {
            int expert = expertIds[slot];
            if (expert < Topology.UNASSIGNED || expert >= numExperts) {
                return slot;
            }
            if (expert != Topology.UNASSIGNED) {
                counts[expert]++;
            }
        }
        return -1;
    }

    /** Chunks are in slot order, so the first one that found something found the first bad slot of all. */
    private void rejectBadSlots(int[] expertIds, int[] firstBad) {
        for (int slot : firstBad) {
            if (slot >= 0) {
                throw Checks.mismatch(
                        "expertIds[" + slot + "]",
                        "0.." + (numExperts - 1) + ", or -1 for an unassigned slot",
                        expertIds[slot]);
            }
        }
    }
}
