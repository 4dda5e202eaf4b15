package dev.dropless.safetensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Takes the bytes of one tensor in order. */
public interface TensorSink {

    /**
     * Appends bytes; the segment may be reused once the call returns.
     *
     * @param bytes any segment, on or off the heap, of any size
     * @throws IOException if they cannot be written, or are more than the tensor has
     */
    void write(MemorySegment bytes) throws IOException;
}
