package dev.dropless.topology;

/**
 * The sizes of a {@link Topology}, which are known before its integers are: where a device routes, they stay there, and matrices are made for as many rows as
 * there can be.
 */
public interface TopologySizes {

    /**
     * Returns the number of tokens.
     *
     * @return T
     */
    int tokens();

    /**
     * Returns the number of slots of each token.
     *
     * @return k
     */
    int topK();

    /**
     * Returns the number of experts.
     *
     * @return E
     */
    int numExperts();

    /**
     * Returns the number of slots.
     *
     * @return T * k
     */
    int slots();

    /**
     * Returns the number of rows of matrices by row.
     *
     * @return N, the assigned slots; or T * k where nobody but a device knows N, and rows from N on mean nothing
     */
    int rows();
}
