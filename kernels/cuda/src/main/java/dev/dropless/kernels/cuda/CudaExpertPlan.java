package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.topology.TilePlan;
import dev.dropless.topology.Topology;

/** A topology and its tiles on the device: eight int arrays in one allocation, copied once. */
final class CudaExpertPlan implements ExpertPlan {

    /** Ints between arrays are multiples of this, so that each begins on 16 bytes. */
    private static final int ALIGNMENT = 4;

    private final Topology topology;
    private final CudaMemory memory;
    private final CudaMemory.DeviceScope scope;
    private final long[] addresses = new long[8];
    private final int tiles;
    private boolean closed;

    CudaExpertPlan(CudaMemory memory, Topology topology) {
        this.topology = topology;
        this.memory = memory;
        int[][] arrays = arrays(topology);
        this.tiles = arrays[4][0];
        int length = 0;
        int[] starts = new int[arrays.length];
        for (int i = 0; i < arrays.length; i++) {
            starts[i] = length;
            length = Math.addExact(length, Math.ceilDiv(arrays[i].length, ALIGNMENT) * ALIGNMENT);
        }
        int[] all = new int[length];
        for (int i = 0; i < arrays.length; i++) {
            System.arraycopy(arrays[i], 0, all, starts[i], arrays[i].length);
        }
        this.scope = memory.open();
        long base = scope.take((long) length * Integer.BYTES).address();
        for (int i = 0; i < arrays.length; i++) {
            addresses[i] = base + (long) starts[i] * Integer.BYTES;
        }
        memory.upload(all, base);
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
    public Topology topology() {
        return topology;
    }

    /** Number of tiles. */
    int tiles() {
        return tiles;
    }

    /** Appends the plan to a kernel's arguments. */
    void write(KernelArguments words) {
        for (long address : addresses) {
            words.word(address);
        }
        words.word(topology.numExperts()).word(topology.topK()).word(topology.tokens());
    }

    @Override
    public void close() {
        closed = true;
        scope.close();
    }
}
