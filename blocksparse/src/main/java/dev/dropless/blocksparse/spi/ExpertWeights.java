package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import java.util.List;

/**
 * The weights of a group of experts, or their gradients, kept for good in the layout that a back end computes with.
 * Import and export convert;
 * optimisers work elementwise on {@link #storage}.
 */
public interface ExpertWeights extends AutoCloseable {

    /**
     * Returns the sizes.
     *
     * @return the shape
     */
    ExpertShape shape();

    /**
     * Returns the stored type; of {@link #isInt8} weights, that of their biases.
     *
     * @return the element type
     */
    ElementType type();

    /**
     * Tells whether the projections are whole numbers of 8 bits with scales ({@link ExpertKernels#allocateInt8}).
     *
     * @return true if they serve the forward pass only
     */
    default boolean isInt8() {
        return false;
    }

    /**
     * Imports one part of one expert, converting type and layout.
     *
     * @param part which weights
     * @param expert 0..numExperts-1
     * @param source host matrix, [shape.rows(part), shape.columns(part)] if {@code transpose} is N, the other way round
     * if it is T
     * @param transpose T for weights stored [out, in]
     * @throws IllegalArgumentException if the part does not exist or the shape is wrong
     */
    void load(WeightPart part, int expert, Matrix source, Transpose transpose);

    /**
     * Exports one part of one expert: the inverse of {@link #load}.
     *
     * @param part which weights
     * @param expert 0..numExperts-1
     * @param target host matrix, overwritten, shaped as in {@link #load}
     * @param transpose T for weights stored [out, in]
     * @throws IllegalArgumentException if the part does not exist or the shape is wrong
     */
    void store(WeightPart part, int expert, Matrix target, Transpose transpose);

    /** Sets every weight to zero. */
    void zero();

    /**
     * Returns the whole storage for elementwise work: optimiser steps, norms, checkpoints in the same layout. Weights
     * of the same shape from the same back
     * end have the same layout whatever their type, so element i of a parameter and of its gradient belong together.
     * Padding elements, where a
     * layout has any, are zero and must stay zero.
     *
     * @return matrices [1, n] in the back end's memory, in a fixed order
     * @throws IllegalStateException if {@link #isInt8}
     */
    List<Matrix> storage();

    /** Frees the storage. A second call does nothing. */
    @Override
    void close();
}
