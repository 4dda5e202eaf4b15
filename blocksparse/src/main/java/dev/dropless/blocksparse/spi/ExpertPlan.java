package dev.dropless.blocksparse.spi;

import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologySizes;

/**
 * What a back end derives from one topology before it computes with it: tiles, device copies of the permutation. Made
 * once per batch by
 * {@link ExpertKernels#plan}, used by every product of forward and backward.
 */
public interface ExpertPlan extends AutoCloseable {

    /**
     * Returns the topology this plan was made for. Where a device routed ({@link RoutingKernels}) the first call copies
     * it to the host and waits for that.
     *
     * @return the topology
     * @throws IllegalStateException if it lies on a device and the plan is closed, or work is being recorded
     */
    Topology topology();

    /**
     * Returns how large matrices must be; never waits for a device.
     *
     * @return the sizes of the topology, with T * k rows where a device routed
     */
    default TopologySizes sizes() {
        return topology();
    }

    /** Frees what the plan holds. A second call does nothing. */
    @Override
    void close();
}
