package dev.dropless.kernels.tornado;

import dev.dropless.kernels.tornado.engine.Kernel;
import java.util.Arrays;

/**
 * The router's assignments sorted by expert, by four kernels: count, two scans, place. The arrays are those of a
 * {@link dev.dropless.topology.Topology}, and stay on the device.
 */
final class DeviceTopology implements AutoCloseable {

    /** Slots that one thread counts and places, one after the other. */
    private static final int CHUNK = 256;

    private final Device device;
    private final int numExperts;
    private final int slots;
    private final int start;
    private final int offsets;

    /**
     * Sorts slots.
     *
     * @param ids expert of every slot, or -1
     * @param numExperts number of experts
     */
    DeviceTopology(Device device, int[] ids, int numExperts) {
        this.device = device;
        this.numExperts = numExperts;
        this.slots = ids.length;
        int chunks = Math.ceilDiv(slots, CHUNK);
        int counts = Math.multiplyExact(numExperts, chunks);
        int length = Math.addExact(Math.addExact(3 * slots, counts), numExperts + 1);
        this.start = device.takeInts(Arrays.copyOf(ids, length));
        this.offsets = start + slots + counts;
        Arguments arguments = new Arguments()
                .add(chunks, numExperts, slots, CHUNK, start, start + slots, offsets, slotOfRow(), rowOfSlot());
        device.launch(Kernel.COUNT, arguments, chunks, 1);
        device.launch(Kernel.SCAN_CHUNKS, arguments, numExperts, 1);
        device.launch(Kernel.SCAN_EXPERTS, arguments, 1, 1);
        device.launch(Kernel.PLACE, arguments, chunks, 1);
    }

    private int slotOfRow() {
        return offsets + numExperts + 1;
    }

    private int rowOfSlot() {
        return slotOfRow() + slots;
    }

    /** First row of every expert, and the number of rows: [E + 1]. */
    int[] readOffsets() {
        return device.readInts(offsets, numExperts + 1);
    }

    /** Slot of every row; what follows the last row is undefined. */
    int[] readSlotOfRow() {
        return device.readInts(slotOfRow(), slots);
    }

    /** Row of every slot, or -1. */
    int[] readRowOfSlot() {
        return device.readInts(rowOfSlot(), slots);
    }

    @Override
    public void close() {
        device.giveInts(start);
    }
}
