package dev.dropless.blocksparse;

/** Whether an operand enters a product as it is or transposed. */
public enum Transpose {
    /** As it is. */
    N,
    /** Transposed. */
    T;

    /**
     * Returns the other value.
     *
     * @return T for N, N for T
     */
    public Transpose flip() {
        return this == N ? T : N;
    }
}
