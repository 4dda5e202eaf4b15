package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.kernels.tornado.engine.Kernel;
import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologySizes;
import java.util.Arrays;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A topology's index arrays on the device, one after the other: first rows of the experts, then slot, token and expert of
 * every row, then the row of every slot. They are copied there, or made there.
 */
final class TornadoExpertPlan implements ExpertPlan {

    /** Slots that one thread counts and places, one after the other. */
    private static final int CHUNK = 256;

    private final Device device;
    private final TopologySizes sizes;
    private final int[] firstRows;
    private final int start;
    private final int mostRows;
    private final Supplier<Topology> source;
    private @Nullable Topology topology;
    private boolean closed;

    private TornadoExpertPlan(
            Device device, TopologySizes sizes, int[] firstRows, int start, int mostRows, Supplier<Topology> source) {
        this.device = device;
        this.sizes = sizes;
        this.firstRows = firstRows;
        this.start = start;
        this.mostRows = mostRows;
        this.source = source;
    }

    /** Copies a topology to the device. */
    static TornadoExpertPlan of(Device device, Topology topology) {
        int[] firstRows = new int[topology.numExperts() + 1];
        Arrays.setAll(firstRows, topology::offset);
        int start = device.takeInts(arrays(topology, firstRows));
        return new TornadoExpertPlan(device, topology, firstRows, start, topology.rows(), () -> topology);
    }

    private static int[] arrays(Topology topology, int[] firstRows) {
        int experts = topology.numExperts();
        int rows = topology.rows();
        int[] all = Arrays.copyOf(firstRows, length(experts, rows, topology.slots()));
        int at = experts + 1;
        for (int r = 0; r < rows; r++) {
            all[at + r] = topology.slotOfRow(r);
            all[at + rows + r] = topology.tokenOfRow(r);
        }
        at += 2 * rows;
        for (int e = 0; e < experts; e++) {
            Arrays.fill(all, at + topology.offset(e), at + topology.offset(e + 1), e);
        }
        at += rows;
        for (int s = 0; s < topology.slots(); s++) {
            all[at + s] = topology.rowOfSlot(s);
        }
        return all;
    }

    private static int length(int numExperts, int rows, int slots) {
        return Math.addExact(Math.addExact(Math.multiplyExact(3, rows), slots), numExperts + 1);
    }

    /** Sizes of a batch whose experts the device chose. */
    private record Sizes(int tokens, int topK, int numExperts, int rows) implements TopologySizes {
        @Override
        public int slots() {
            return tokens * topK;
        }
    }

    /**
     * Sorts slots by expert on the device: a stable counting sort by four kernels. The experts' first rows alone come to
     * the host, where the sizes of grids are decided.
     *
     * @param ids where the expert of every slot lies, [tokens * topK], 0..numExperts-1 or -1; read by the kernels queued here
     * @param topology builds the same topology on the host
     */
    static TornadoExpertPlan onDevice(
            Device device, int ids, int tokens, int topK, int numExperts, Supplier<Topology> topology) {
        int slots = Math.multiplyExact(tokens, topK);
        int chunks = Math.ceilDiv(slots, CHUNK);
        int start = device.takeInts((long) length(numExperts, slots, slots));
        int counts = device.takeInts((long) numExperts * chunks);
        try {
            int ofRow = start + numExperts + 1;
            Arguments arguments = new Arguments()
                    .add(chunks, numExperts, slots, CHUNK, ids, counts, start, ofRow, ofRow + 3 * slots, topK)
                    .add(ofRow + slots, ofRow + 2 * slots);
            device.launch(Kernel.COUNT, arguments, chunks, 1);
            device.launch(Kernel.SCAN_CHUNKS, arguments, numExperts, 1);
            device.launch(Kernel.SCAN_EXPERTS, arguments, 1, 1);
            device.launch(Kernel.PLACE, arguments, chunks, 1);
            int[] firstRows = device.readInts(start, numExperts + 1);
            Sizes sizes = new Sizes(tokens, topK, numExperts, firstRows[numExperts]);
            return new TornadoExpertPlan(device, sizes, firstRows, start, slots, topology);
        } catch (RuntimeException e) {
            device.giveInts(start);
            throw e;
        } finally {
            device.giveInts(counts);
        }
    }

    /** Checks that a plan belongs to this device and is open. */
    static TornadoExpertPlan own(ExpertPlan plan, Device device) {
        if (!(plan instanceof TornadoExpertPlan own) || own.device != device) {
            throw new IllegalArgumentException("plan: expected one made by these kernels, found %s"
                    .formatted(plan.getClass().getSimpleName()));
        }
        if (own.closed) {
            throw new IllegalStateException("plan is closed");
        }
        return own;
    }

    @Override
    public synchronized Topology topology() {
        if (topology == null) {
            topology = source.get();
        }
        return topology;
    }

    @Override
    public TopologySizes sizes() {
        return sizes;
    }

    /** First row of an expert; of the one after the last, the number of rows. */
    int firstRow(int expert) {
        return firstRows[expert];
    }

    /** Number of an expert's rows. */
    int tokensPerExpert(int expert) {
        return firstRows[expert + 1] - firstRows[expert];
    }

    /** Where the experts' first rows lie, [E + 1]. */
    int offsets() {
        return start;
    }

    /** Where the slot of each row lies. */
    int slotOfRow() {
        return start + sizes.numExperts() + 1;
    }

    /** Where the token of each row lies. */
    int tokenOfRow() {
        return slotOfRow() + mostRows;
    }

    /** Where the expert of each row lies. */
    int expertOfRow() {
        return tokenOfRow() + mostRows;
    }

    /** Where the row of each slot lies. */
    int rowOfSlot() {
        return expertOfRow() + mostRows;
    }

    /** Copies the five arrays back, as far as they mean something: for tests of the kernels that make them. */
    int[][] arrays() {
        int rows = sizes.rows();
        return new int[][] {
            device.readInts(offsets(), sizes.numExperts() + 1),
            device.readInts(slotOfRow(), rows),
            device.readInts(tokenOfRow(), rows),
            device.readInts(expertOfRow(), rows),
            device.readInts(rowOfSlot(), sizes.slots())
        };
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.giveInts(start);
        }
    }
}
