package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** A number per slot, [T, k], seen by row; all ones where the matrix is null. */
record SlotWeights(Topology topology, @Nullable Matrix values) {

    /** True if every weight is one, so that nothing needs scaling. */
    boolean absent() {
        return values == null;
    }

    float ofRow(int row) {
        return values == null ? 1 : ofSlot(topology.slotOfRow(row));
    }

    float ofSlot(int slot) {
        int k = topology.topK();
        return values == null ? 1 : (float) values.get(slot / k, slot % k);
    }
}
