package dev.dropless.safetensors;

import java.io.IOException;

/** Produces the bytes of one tensor when they are needed, so that a file larger than memory can be written. */
@FunctionalInterface
public interface TensorSource {

    /**
     * Hands over all bytes of the tensor: row-major, little endian, exactly as many as its type and shape say.
     *
     * @param sink takes the bytes in order; not to be used after this call
     * @throws IOException if the bytes cannot be produced or taken; the file is then not written
     */
    void writeTo(TensorSink sink) throws IOException;
}
