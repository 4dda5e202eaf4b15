package dev.dropless.moe.family;

import java.util.Collection;

/** Named tensors: an open checkpoint, whatever its file format. */
public interface TensorSource {

    /**
     * Returns what the tensors come from, for messages.
     *
     * @return a file or folder name
     */
    String description();

    /**
     * Lists the tensors.
     *
     * @return all names
     */
    Collection<String> names();

    /**
     * Finds a tensor of floating-point elements.
     *
     * @param name one of {@link #names}
     * @return the tensor
     * @throws IllegalArgumentException if its elements are of a type that weights cannot have; the message names tensor, expected and found
     */
    StoredTensor tensor(String name);

    /**
     * Reads a tensor of whole numbers.
     *
     * @param name its name
     * @param rows expected rows
     * @param columns expected columns
     * @return its elements, row-major
     * @throws IllegalArgumentException if it is missing, has another shape or type, or an element beyond 32 bits; the message names it
     */
    int[] table(String name, int rows, int columns);
}
