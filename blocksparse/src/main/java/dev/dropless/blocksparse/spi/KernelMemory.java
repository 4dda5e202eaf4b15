package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import java.util.OptionalLong;

/** Memory of a back end: the host's for host back ends, a device's otherwise. */
public interface KernelMemory {

    /**
     * Returns which memory operands must lie in.
     *
     * @return the space
     */
    MemorySpace space();

    /**
     * Opens a scope of allocations that are freed together.
     *
     * @return a new scope; the caller closes it
     */
    Scope open();

    /**
     * Copies a matrix of the same shape between host and this memory, or inside one of them, converting the element
     * type where they differ.
     *
     * @param source what to copy
     * @param target where to; overwritten
     * @throws IllegalArgumentException if the shapes differ
     */
    void copy(Matrix source, Matrix target);

    /**
     * Tells how much can still be allocated, so that a caller can leave out what cannot fit.
     *
     * @return bytes that nobody has taken, and those that these kernels have freed and keep; empty if that is not known
     */
    default OptionalLong available() {
        return OptionalLong.empty();
    }

    /** A scope of allocations. Not shared between threads unless its user synchronises. */
    interface Scope extends AutoCloseable {

        /**
         * Allocates a dense matrix whose content is undefined.
         *
         * @param type element type
         * @param rows rows
         * @param columns columns; also the row stride
         * @return the matrix, valid until this scope is closed
         */
        Matrix allocate(ElementType type, long rows, long columns);

        /** Frees everything allocated from this scope. A second call does nothing. */
        @Override
        void close();
    }
}
