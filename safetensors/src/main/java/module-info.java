/**
 * Reader and writer for safetensors files and sharded checkpoints, and the small JSON facade they share.
 *
 * <p>Tensors are handed out as {@link java.lang.foreign.MemorySegment} slices of a memory-mapped file; nothing is
 * copied and no size is limited to 2 GiB. The JSON parser is an implementation detail and never shows in a signature.
 */
module dev.dropless.safetensors {
    requires com.fasterxml.jackson.core;
    requires static transitive org.jspecify;

    exports dev.dropless.safetensors;
}
