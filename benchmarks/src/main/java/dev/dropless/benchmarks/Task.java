package dev.dropless.benchmarks;

/** What is to be computed, and how much work that is. Arms are the ways to compute it. */
public sealed interface Task permits LayerTask, OperationTask, GemmTask, ProductTask, TopologyTask {

    /**
     * Names the sizes.
     *
     * @return name of a shape
     */
    String shape();

    /**
     * Returns the rows that enter.
     *
     * @return T, or M of a dense product
     */
    int tokens();

    /**
     * Names the assignments.
     *
     * @return word of a routing, or "none"
     */
    String routing();

    /**
     * Names what is computed.
     *
     * @return forward, forward+backward, or the name of a product
     */
    String pass();

    /**
     * Names the type of weights and activations.
     *
     * @return f32, bf16 or int8
     */
    String dtype();

    /**
     * Returns the threads to compute with.
     *
     * @return 1 or more
     */
    int threads();

    /**
     * Returns the floating-point operations that the result needs, without padding; a multiply-add counts as two.
     *
     * @return operations
     */
    double usefulFlops();

    /**
     * Returns the bytes that must be read or written once whatever the algorithm.
     *
     * @return bytes
     */
    double compulsoryBytes();
}
