package dev.dropless.topology;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Which row of the experts' work belongs to which token: the router's assignments sorted by expert, and the way back.
 *
 * <p>Notation: T {@link #tokens}, k {@link #topK}, E {@link #numExperts}; slot {@code s = token * k + rank} is the
 * {@code rank}-th choice of a token. The assigned slots, ordered by (expert, slot), are the <em>rows</em> 0..{@link
 * #rows()}-1; expert e owns the rows from {@link #offset offset(e)} up to {@code offset(e + 1)}. No row is padding. A
 * slot whose expert id is {@link #UNASSIGNED} has no row (a capacity limit dropped it, or it needs no matrix
 * product).
 *
 * <p>Instances are immutable and safe for use by several threads. Source: MegaBlocks (arXiv 2211.15841), section 5.
 */
public final class Topology implements TopologySizes {

    /** In place of an expert id or of a row: this slot is not computed by any expert. */
    public static final int UNASSIGNED = -1;

    private final int tokens;
    private final int topK;
    private final int[] offsets;
    private final int[] slotOfRow;
    private final int[] rowOfSlot;

    Topology(int tokens, int topK, int[] offsets, int[] slotOfRow, int[] rowOfSlot) {
        this.tokens = tokens;
        this.topK = topK;
        this.offsets = offsets;
        this.slotOfRow = slotOfRow;
        this.rowOfSlot = rowOfSlot;
    }

    /**
     * Builds the topology of the given assignments on the calling thread; {@link TopologyBuilder} does the same on
     * several.
     *
     * @param expertIds expert of every slot, [tokens, topK] row-major: 0..numExperts-1, or {@link #UNASSIGNED}; read,
     *     not kept
     * @param topK slots per token, 1 or more
     * @param numExperts number of experts, 1 or more
     * @return the topology
     * @throws IllegalArgumentException if a size is out of range, the length is no multiple of {@code topK}, or an id
     *     is out of range
     */
    public static Topology of(int[] expertIds, int topK, int numExperts) {
        return new TopologyBuilder(numExperts, topK).build(expertIds);
    }

    /**
     * The topology in which every token goes to the one expert there is: row t is token t. Dense layers, shared
     * experts among them, are this case.
     *
     * @param tokens number of tokens, 0 or more
     * @return the topology with numExperts = topK = 1
     * @throws IllegalArgumentException if {@code tokens} is negative
     */
    public static Topology dense(int tokens) {
        Checks.atLeast("tokens", tokens, 0);
        int[] identity = new int[tokens];
        Arrays.setAll(identity, t -> t);
        return new Topology(tokens, 1, new int[] {0, tokens}, identity, identity);
    }

    /**
     * Joins the topologies of several ranks, or of several parts of a batch: the tokens of each follow those of the one
     * before it. The result is the same as if all assignments had been sorted at once.
     *
     * @param topologies one or more, all with the same numbers of experts and of slots per token
     * @return the topology of all tokens
     * @throws IllegalArgumentException if the list is empty, two of them differ in experts or topK, or there are more
     *     than
     *     2^31-1 slots
     */
    public static Topology concat(List<Topology> topologies) {
        if (topologies.isEmpty()) {
            throw Checks.mismatch("topologies", "at least 1 topology", 0);
        }
        Topology first = topologies.getFirst();
        long slots = 0;
        for (int i = 0; i < topologies.size(); i++) {
            Topology part = topologies.get(i);
            if (part.numExperts() != first.numExperts()) {
                throw Checks.mismatch("topologies[" + i + "].numExperts", first.numExperts(), part.numExperts());
            }
            if (part.topK != first.topK) {
                throw Checks.mismatch("topologies[" + i + "].topK", first.topK, part.topK);
            }
            slots += part.slots();
        }
        return join(topologies, Checks.fitsInt("slots", slots, topologies.size() + " topologies together"));
    }

    private static Topology join(List<Topology> parts, int slots) {
        int experts = parts.getFirst().numExperts();
        int[] offsets = new int[experts + 1];
        for (Topology part : parts) {
            for (int e = 0; e <= experts; e++) {
                offsets[e] += part.offsets[e];
            }
        }
        int[] next = offsets.clone();
        int[] slotOfRow = new int[offsets[experts]];
        int[] rowOfSlot = new int[slots];
        Arrays.fill(rowOfSlot, UNASSIGNED);
        int firstSlot = 0;
        for (Topology part : parts) {
            for (int e = 0; e < experts; e++) {
                for (int row = part.offsets[e]; row < part.offsets[e + 1]; row++) {
                    int slot = firstSlot + part.slotOfRow[row];
                    slotOfRow[next[e]] = slot;
                    rowOfSlot[slot] = next[e]++;
                }
            }
            firstSlot += part.slots();
        }
        int topK = parts.getFirst().topK;
        return new Topology(slots / topK, topK, offsets, slotOfRow, rowOfSlot);
    }

    /**
     * Returns the number of tokens.
     *
     * @return T, 0 or more
     */
    @Override
    public int tokens() {
        return tokens;
    }

    /**
     * Returns the number of slots of each token.
     *
     * @return k, 1 or more
     */
    @Override
    public int topK() {
        return topK;
    }

    /**
     * Returns the number of experts.
     *
     * @return E, 1 or more
     */
    @Override
    public int numExperts() {
        return offsets.length - 1;
    }

    /**
     * Returns the number of slots, assigned or not.
     *
     * @return T * k
     */
    @Override
    public int slots() {
        return rowOfSlot.length;
    }

    /**
     * Returns the number of rows: assigned slots.
     *
     * @return the sum of {@link #tokensPerExpert}, at most {@link #slots}
     */
    @Override
    public int rows() {
        return slotOfRow.length;
    }

    /**
     * Returns the first row of an expert; {@code offset(numExperts())} is {@link #rows()}.
     *
     * @param expert 0..numExperts, the last one included
     * @return the exclusive cumulative sum of the loads before that expert
     */
    public int offset(int expert) {
        return offsets[expert];
    }

    /**
     * Returns how many rows an expert has.
     *
     * @param expert 0..numExperts-1
     * @return its load, 0 or more
     */
    public int tokensPerExpert(int expert) {
        return offsets[expert + 1] - offsets[expert];
    }

    /**
     * Returns the load of every expert.
     *
     * @return a new array [numExperts]
     */
    public int[] tokensPerExpert() {
        int[] loads = new int[numExperts()];
        Arrays.setAll(loads, this::tokensPerExpert);
        return loads;
    }

    /**
     * Returns the largest load of any expert: the capacity at which a padded layer drops nothing.
     *
     * @return the maximum of {@link #tokensPerExpert}
     */
    public int maxTokensPerExpert() {
        int max = 0;
        for (int e = 0; e < numExperts(); e++) {
            max = Math.max(max, tokensPerExpert(e));
        }
        return max;
    }

    /**
     * Returns the slot computed in a row: the permutation that sorts the slots by expert.
     *
     * @param row 0..rows-1
     * @return token * topK + rank
     */
    public int slotOfRow(int row) {
        return slotOfRow[row];
    }

    /**
     * Returns the token whose data a row holds.
     *
     * @param row 0..rows-1
     * @return 0..tokens-1
     */
    public int tokenOfRow(int row) {
        return slotOfRow[row] / topK;
    }

    /**
     * Returns the row in which a slot is computed: the inverse permutation. With it the sum over a token's experts is
     * a gather, free of races and in a fixed order.
     *
     * @param slot token * topK + rank
     * @return the row, or {@link #UNASSIGNED}
     */
    public int rowOfSlot(int slot) {
        return rowOfSlot[slot];
    }

    /**
     * Returns the expert that owns a row, by binary search.
     *
     * @param row 0..rows-1
     * @return the expert
     */
    public int expertOfRow(int row) {
        Objects.checkIndex(row, rows());
        return PrefixSums.segmentOf(offsets, row);
    }

    /**
     * Returns the end of every expert's rows (MegaBlocks: bins).
     *
     * @return a new array [numExperts], the inclusive cumulative sum of {@link #tokensPerExpert()}
     */
    public int[] bins() {
        return PrefixSums.inclusive(offsets);
    }

    /**
     * Returns the expert that owns each row (MegaBlocks: bin_ids).
     *
     * @return a new array [rows], ascending
     */
    public int[] binIds() {
        int[] experts = new int[rows()];
        for (int e = 0; e < numExperts(); e++) {
            Arrays.fill(experts, offsets[e], offsets[e + 1], e);
        }
        return experts;
    }

    /**
     * Returns the permutation as an array, for tests and other systems.
     *
     * @return a new array [rows]: {@link #slotOfRow} of every row
     */
    public int[] slotOfRow() {
        return slotOfRow.clone();
    }

    /**
     * Returns the inverse permutation as an array, for tests and other systems.
     *
     * @return a new array [slots]: {@link #rowOfSlot} of every slot
     */
    public int[] rowOfSlot() {
        return rowOfSlot.clone();
    }

    /** Two topologies are equal if they put the same slots into the same rows of the same experts. */
    @Override
    public boolean equals(Object other) {
        return other instanceof Topology that
                && topK == that.topK
                && Arrays.equals(offsets, that.offsets)
                && Arrays.equals(rowOfSlot, that.rowOfSlot);
    }

    @Override
    public int hashCode() {
        return 31 * (31 * topK + Arrays.hashCode(offsets)) + Arrays.hashCode(rowOfSlot);
    }

    @Override
    public String toString() {
        return "Topology[tokens=%d, topK=%d, numExperts=%d, rows=%d, max load=%d]"
                .formatted(tokens, topK, numExperts(), rows(), maxTokensPerExpert());
    }
}
