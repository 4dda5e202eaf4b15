package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Reads a number per slot, [T, k], by slot or by row; all ones where the matrix is null. */
final class SlotWeights {

    private SlotWeights() {}

    static float ofRow(@Nullable Matrix weights, Topology topology, int row) {
        return weights == null ? 1 : ofSlot(weights, topology, topology.slotOfRow(row));
    }

    static float ofSlot(@Nullable Matrix weights, Topology topology, int slot) {
        int k = topology.topK();
        return weights == null ? 1 : (float) weights.get(slot / k, slot % k);
    }
}
