package dev.dropless.moe.padded;

import dev.dropless.topology.Topology;

/** How many rows every expert computes. */
public sealed interface CapacityPolicy {

    /**
     * Returns the capacity for a batch.
     *
     * @param topology the router's assignments, before any is dropped
     * @return C, rows of each expert, 0 or more
     */
    int capacity(Topology topology);

    /**
     * C = int(factor * k * T / E) (MegaBlocks {@code moe_capacity_factor}; Switch Transformers, arXiv 2101.03961, equation 3).
     *
     * @param factor capacity factor; 1 is just enough for a perfectly even load
     * @return the policy
     * @throws IllegalArgumentException if {@code factor} is not above 0 or not finite
     */
    static CapacityPolicy factor(double factor) {
        return new Factor(factor);
    }

    /**
     * C = load of the busiest expert: nothing is dropped (MegaBlocks with capacity factor 0).
     *
     * @return the policy
     */
    static CapacityPolicy maximumLoad() {
        return new MaximumLoad();
    }

    /**
     * C as given.
     *
     * @param rows C, 0 or more
     * @return the policy
     * @throws IllegalArgumentException if {@code rows} is negative
     */
    static CapacityPolicy fixed(int rows) {
        return new Fixed(rows);
    }

    /**
     * See {@link CapacityPolicy#factor}.
     *
     * @param factor capacity factor
     */
    record Factor(double factor) implements CapacityPolicy {
        /**
         * Checks the factor.
         *
         * @throws IllegalArgumentException if {@code factor} is not above 0 or not finite
         */
        public Factor {
            if (!(factor > 0 && factor < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException("factor: expected a number above 0, found " + factor);
            }
        }

        @Override
        public int capacity(Topology topology) {
            return (int) (factor * topology.slots() / topology.numExperts());
        }
    }

    /** See {@link CapacityPolicy#maximumLoad}. */
    record MaximumLoad() implements CapacityPolicy {
        @Override
        public int capacity(Topology topology) {
            return topology.maxTokensPerExpert();
        }
    }

    /**
     * See {@link CapacityPolicy#fixed}.
     *
     * @param rows C
     */
    record Fixed(int rows) implements CapacityPolicy {
        /**
         * Checks the number.
         *
         * @throws IllegalArgumentException if {@code rows} is negative
         */
        public Fixed {
            if (rows < 0) {
                throw new IllegalArgumentException("rows: expected at least 0, found " + rows);
            }
        }

        @Override
        public int capacity(Topology topology) {
            return rows;
        }
    }
}
