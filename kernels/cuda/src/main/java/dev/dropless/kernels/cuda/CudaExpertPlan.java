package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.topology.TilePlan;
import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologySizes;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** A topology and its tiles on the device: eight int arrays, copied from the host or made where they lie. */
final class CudaExpertPlan implements ExpertPlan {

    /** Ints between arrays are multiples of this, so that each begins on 16 bytes. */
    private static final int ALIGNMENT = 4;

    /** Slots that one block of the topology kernels counts and places. */
    private static final int CHUNK_SLOTS = 1024;

    private final TopologySizes sizes;
    private final CudaMemory memory;
    private final CudaMemory.DeviceScope scope;
    private final long[] addresses;
    private final long tiles;
    private final Supplier<Topology> source;
    private @Nullable Topology topology;
    private boolean closed;

    private CudaExpertPlan(
            CudaMemory memory,
            TopologySizes sizes,
            CudaMemory.DeviceScope scope,
            long[] addresses,
            long tiles,
            Supplier<Topology> source) {
        this.memory = memory;
        this.sizes = sizes;
        this.scope = scope;
        this.addresses = addresses;
        this.tiles = tiles;
        this.source = source;
    }

    /** Copies a topology to the device, once. */
    static CudaExpertPlan of(CudaMemory memory, Topology topology) {
        int[][] arrays = arrays(topology);
        int length = 0;
        int[] starts = new int[arrays.length];
        for (int i = 0; i < arrays.length; i++) {
            starts[i] = length;
            length = Math.addExact(length, aligned(arrays[i].length));
        }
        int[] all = new int[length];
        for (int i = 0; i < arrays.length; i++) {
            System.arraycopy(arrays[i], 0, all, starts[i], arrays[i].length);
        }
        CudaMemory.DeviceScope scope = memory.open();
        try {
            long base = scope.take((long) length * Integer.BYTES).address();
            long[] addresses = new long[arrays.length];
            for (int i = 0; i < arrays.length; i++) {
                addresses[i] = base + (long) starts[i] * Integer.BYTES;
            }
            memory.upload(all, base);
            return new CudaExpertPlan(memory, topology, scope, addresses, arrays[4][0], () -> topology);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private static int aligned(int ints) {
        return Math.ceilDiv(ints, ALIGNMENT) * ALIGNMENT;
    }

    /** Sizes of a batch whose rows only the device counts. */
    private record Bounds(int tokens, int topK, int numExperts) implements TopologySizes {
        @Override
        public int slots() {
            return Math.multiplyExact(tokens, topK);
        }

        @Override
        public int rows() {
            return slots();
        }
    }

    /**
     * Queues the kernels that make a plan; nothing waits for them.
     *
     * @param expertIds address of int32 [tokens * topK]: 0..numExperts-1, or -1; read by the kernels queued here alone
     * @param topology copies the ids to the host and builds the same topology there
     */
    static CudaExpertPlan onDevice(
            CudaMemory memory,
            Launcher launcher,
            long expertIds,
            int tokens,
            int topK,
            int numExperts,
            Supplier<Topology> topology) {
        Bounds sizes = new Bounds(tokens, topK, numExperts);
        int slots = sizes.slots();
        int chunks = Math.ceilDiv(slots, CHUNK_SLOTS);
        int tiles = slots / Launcher.TILE + numExperts;
        int[] lengths = {numExperts + 1, slots, slots, slots, 1, tiles, tiles, tiles, chunks, 1};
        CudaMemory.DeviceScope scope = memory.open();
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            long bytes = 0;
            long[] starts = new long[lengths.length];
            for (int i = 0; i < lengths.length; i++) {
                starts[i] = bytes;
                bytes += (long) aligned(lengths[i]) * Integer.BYTES;
            }
            long base = scope.take(bytes).address();
            long[] at = new long[8];
            for (int i = 0; i < at.length; i++) {
                at[i] = base + starts[i];
            }
            long chunkRows =
                    scratch.take((long) chunks * numExperts * Integer.BYTES).address();
            long badSlots = base + starts[8];
            long status = base + starts[9];
            Consumer<KernelArguments> arguments = words -> words.word(expertIds)
                    .word(slots)
                    .word(numExperts)
                    .word(topK)
                    .word(chunkRows)
                    .word(badSlots)
                    .word(status)
                    .word(at[0])
                    .word(at[1])
                    .word(at[2])
                    .word(at[3]);
            int grid = Math.max(1, chunks);
            launcher.exact("topology_count", grid, numExperts, arguments);
            launcher.exact("topology_scan", 1, numExperts, arguments);
            launcher.exact("topology_place", grid, numExperts, arguments);
            launcher.exact(
                    "tile_plan",
                    1,
                    numExperts,
                    words -> words.word(at[0])
                            .word(numExperts)
                            .word(Launcher.TILE)
                            .word(at[4])
                            .word(at[5])
                            .word(at[6])
                            .word(at[7]));
            long most = (long) slots / Launcher.TILE + Math.min(numExperts, slots);
            return new CudaExpertPlan(memory, sizes, scope, at, most, topology);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private static int[][] arrays(Topology topology) {
        int[] offsets = new int[topology.numExperts() + 1];
        for (int e = 0; e < offsets.length; e++) {
            offsets[e] = topology.offset(e);
        }
        int[] slotOfRow = topology.slotOfRow();
        int[] tokenOfRow = new int[slotOfRow.length];
        for (int r = 0; r < tokenOfRow.length; r++) {
            tokenOfRow[r] = slotOfRow[r] / topology.topK();
        }
        TilePlan plan = TilePlan.of(topology, Launcher.TILE);
        int[] experts = new int[plan.tiles()];
        int[] firstRows = new int[plan.tiles()];
        int[] rows = new int[plan.tiles()];
        for (int i = 0; i < plan.tiles(); i++) {
            experts[i] = plan.expert(i);
            firstRows[i] = plan.firstRow(i);
            rows[i] = plan.rows(i);
        }
        return new int[][] {
            offsets, slotOfRow, tokenOfRow, topology.rowOfSlot(), {plan.tiles()}, experts, firstRows, rows
        };
    }

    /** Checks that a plan belongs to this memory and is open. */
    static CudaExpertPlan own(ExpertPlan plan, CudaMemory memory) {
        if (!(plan instanceof CudaExpertPlan own) || own.memory != memory) {
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

    /** Number of tiles, or, where only the device knows it, the most there can be. */
    long tiles() {
        return tiles;
    }

    /** Copies the arrays back, as far as they mean something: for tests of the kernels that make them. */
    int[][] arrays() {
        int[] offsets = memory.download(addresses[0], sizes.numExperts() + 1);
        int rows = offsets[sizes.numExperts()];
        int made = memory.download(addresses[4], 1)[0];
        int[] lengths = {offsets.length, rows, rows, sizes.slots(), 1, made, made, made};
        int[][] arrays = new int[lengths.length][];
        for (int i = 0; i < lengths.length; i++) {
            arrays[i] = memory.download(addresses[i], lengths[i]);
        }
        return arrays;
    }

    /** Appends the plan to a kernel's arguments. */
    void write(KernelArguments words) {
        for (long address : addresses) {
            words.word(address);
        }
        words.word(sizes.numExperts()).word(sizes.topK()).word(sizes.tokens());
    }

    @Override
    public void close() {
        closed = true;
        scope.close();
    }
}
