package dev.dropless.benchmarks;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TopologyBuilder;
import java.util.Arrays;

/** The topology builder, or the sort that plain Java offers: of (expert, slot) pairs as longs, without offsets and inverse. */
final class TopologyArm implements Arm {

    /** Name of the arm that sorts. */
    static final String SORT = "sort";

    private final TopologyTask task;
    private final boolean sorts;
    private final Kernels kernels;
    private final TopologyBuilder builder;
    private final int[] expertIds;

    TopologyArm(TopologyTask task, String arm, Kernels kernels) {
        this.task = task;
        this.sorts = arm.equals(SORT);
        this.kernels = kernels;
        builder = new TopologyBuilder(task.numExperts(), task.topK(), kernels.tasks());
        expertIds = task.expertIds();
    }

    @Override
    public Object run() {
        return sorts ? sorted() : builder.build(expertIds);
    }

    private int[] sorted() {
        long[] keys = new long[expertIds.length];
        for (int slot = 0; slot < keys.length; slot++) {
            keys[slot] = (long) expertIds[slot] << 32 | slot;
        }
        Arrays.sort(keys);
        int[] slots = new int[keys.length];
        for (int row = 0; row < slots.length; row++) {
            slots[row] = (int) keys[row];
        }
        return slots;
    }

    /** Exact: slots of expert 0 in ascending order, then those of expert 1, and so on. */
    @Override
    public double check() {
        int[] found = sorts ? sorted() : builder.build(expertIds).slotOfRow();
        int row = 0;
        for (int e = 0; e < task.numExperts(); e++) {
            for (int slot = 0; slot < expertIds.length; slot++) {
                if (expertIds[slot] == e && found[row++] != slot) {
                    throw new CheckFailed(
                            "slotOfRow[%d]: expected %d, found %d".formatted(row - 1, slot, found[row - 1]));
                }
            }
        }
        return 0;
    }

    @Override
    public String description() {
        return sorts ? "java.util.Arrays.sort" : "dropless counting sort";
    }

    @Override
    public double computedFlops() {
        return 0;
    }

    @Override
    public void close() {
        kernels.close();
    }
}
