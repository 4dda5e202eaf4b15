package dev.dropless.moe.family;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which parameters a tensor of a checkpoint holds, and where in it.
 *
 * @param name name of the tensor, without the prefix of the layer
 * @param shape its sizes, outermost first
 * @param pieces what it holds; together they cover it; empty for a table
 * @param table the whole numbers it holds, if it is no parameter but one of {@link Tables}, else null
 */
@SuppressWarnings("ArrayRecordComponent") // a table belongs to its router and is never compared
public record TensorBinding(String name, List<Long> shape, List<Piece> pieces, int @Nullable [] table) {

    /** Copies the lists. */
    public TensorBinding {
        shape = List.copyOf(shape);
        pieces = List.copyOf(pieces);
    }

    /**
     * Tells whether the tensor has a gradient.
     *
     * @return false for what acts on the selection alone
     */
    public boolean hasGradient() {
        return table == null
                && pieces.stream().noneMatch(piece -> piece.parameter().group() == Parameter.Group.SELECTION_BIAS);
    }

    /**
     * Returns the number of elements of the tensor.
     *
     * @return the product of its sizes
     */
    public long elements() {
        return shape.stream().reduce(1L, Math::multiplyExact);
    }

    /**
     * A parameter's place in a tensor: element (i, j) lies at {@code offset + i * rowStride + j * columnStride}.
     *
     * @param parameter which matrix
     * @param offset element (0, 0), in elements
     * @param rowStride from a row to the next
     * @param columnStride from a column to the next
     */
    public record Piece(Parameter parameter, long offset, long rowStride, long columnStride) {}
}
