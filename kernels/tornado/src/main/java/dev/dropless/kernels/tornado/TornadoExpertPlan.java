package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.topology.Topology;
import java.util.Arrays;

/** A topology's index arrays on the device, one after the other. */
final class TornadoExpertPlan implements ExpertPlan {

    private final Topology topology;
    private final Device device;
    private final int offset;
    private boolean closed;

    TornadoExpertPlan(Device device, Topology topology) {
        this.topology = topology;
        this.device = device;
        this.offset = device.takeInts(arrays(topology));
    }

    private static int[] arrays(Topology topology) {
        int experts = topology.numExperts();
        int rows = topology.rows();
        int[] all = new int[experts + 1 + 3 * rows + topology.slots()];
        for (int e = 0; e <= experts; e++) {
            all[e] = topology.offset(e);
        }
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
    public Topology topology() {
        return topology;
    }

    /** Where the experts' first rows lie, [E + 1]. */
    int offsets() {
        return offset;
    }

    /** Where the slot of each row lies. */
    int slotOfRow() {
        return offset + topology.numExperts() + 1;
    }

    /** Where the token of each row lies. */
    int tokenOfRow() {
        return slotOfRow() + topology.rows();
    }

    /** Where the expert of each row lies. */
    int expertOfRow() {
        return tokenOfRow() + topology.rows();
    }

    /** Where the row of each slot lies. */
    int rowOfSlot() {
        return expertOfRow() + topology.rows();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.giveInts(offset);
        }
    }
}
