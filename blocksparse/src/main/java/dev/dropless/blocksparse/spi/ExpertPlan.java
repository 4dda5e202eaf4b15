package dev.dropless.blocksparse.spi;

import dev.dropless.topology.Topology;

/**
 * What a back end derives from one topology before it computes with it: tiles, device copies of the permutation. Made
 * once per batch by
 * {@link ExpertKernels#plan}, used by every product of forward and backward.
 */
public interface ExpertPlan extends AutoCloseable {

    /**
     * Returns the topology this plan was made for.
     *
     * @return the topology
     */
    Topology topology();

    /** Frees what the plan holds. A second call does nothing. */
    @Override
    void close();
}
