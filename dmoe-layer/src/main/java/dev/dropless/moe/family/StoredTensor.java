package dev.dropless.moe.family;

import dev.dropless.blocksparse.ElementType;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A dense tensor as a checkpoint stores it: row-major, little-endian, unaligned.
 *
 * @param name its name
 * @param type element type
 * @param shape sizes, outermost first; empty for a scalar
 * @param data the elements, readable as long as the checkpoint is open
 */
public record StoredTensor(String name, ElementType type, List<Long> shape, MemorySegment data) {

    /** Copies the shape. */
    public StoredTensor {
        shape = List.copyOf(shape);
    }
}
