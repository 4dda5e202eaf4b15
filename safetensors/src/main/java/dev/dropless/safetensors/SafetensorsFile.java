package dev.dropless.safetensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A safetensors file, memory-mapped and checked as a whole when it is opened.
 *
 * <p>The header must be one JSON object of at most 100,000,000 bytes of valid UTF-8 that begins with an opening brace
 * and is followed by white space only; keys must be unique; each tensor has exactly {@code dtype}, {@code shape} and
 * {@code data_offsets}, of at most 64 dimensions; the tensors must tile the rest of the file: no overlap, no hole,
 * nothing left over. Tensors may exceed 2 GiB.
 *
 * <p>An open file may be used by several threads; closing it invalidates every view. While it is open nobody may
 * shorten the file: reading a page that vanished is an {@link InternalError}, as for any mapped file. Replacing the
 * file, as {@link SafetensorsWriter} does, is harmless.
 */
public final class SafetensorsFile implements AutoCloseable {

    private final Path file;
    private final Header header;
    private final Arena arena;
    private final MemorySegment data;
    private final List<String> names;

    private SafetensorsFile(Path file, Header header, Arena arena, MemorySegment data) {
        this.file = file;
        this.header = header;
        this.arena = arena;
        this.data = data;
        this.names = List.copyOf(header.entries().keySet());
    }

    /**
     * Opens a file: maps it, reads its header and checks everything the header says. Tensor data is not touched.
     *
     * @param file the file
     * @return the open file, to be closed by the caller
     * @throws SafetensorsException if it cannot be read or is not a well-formed safetensors file
     */
    public static SafetensorsFile open(Path file) throws SafetensorsException {
        try (FileChannel channel = InputFiles.open(file)) {
            long size = channel.size();
            int headerLength = HeaderReader.readLength(file, channel, size);
            long dataStart = HeaderReader.PREFIX_BYTES + (long) headerLength;
            long dataLength = size - dataStart;
            Header header = HeaderReader.read(file, channel, headerLength, dataLength);
            return map(file, header, channel, dataStart, dataLength);
        } catch (IOException e) {
            throw InputFiles.failure(file, "cannot be read", e);
        }
    }

    private static SafetensorsFile map(Path file, Header header, FileChannel channel, long dataStart, long dataLength)
            throws IOException {
        // Shared, since the threads that compute are not the thread that opens.
        Arena arena = Arena.ofShared();
        try {
            MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, dataStart, dataLength, arena);
            return new SafetensorsFile(file, header, arena, data);
        } catch (IOException | RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Returns the file that was opened.
     *
     * @return path as given to {@link #open(Path)}
     */
    public Path path() {
        return file;
    }

    /**
     * Returns the {@code __metadata__} of the header.
     *
     * @return immutable map in the order of the header, empty if there is none
     */
    public Map<String, String> metadata() {
        return header.metadata();
    }

    /**
     * Returns the names of all tensors.
     *
     * @return immutable list in the order of the header
     */
    public List<String> names() {
        return names;
    }

    /**
     * Says whether there is a tensor of a name.
     *
     * @param name the name
     * @return whether {@link #tensor(String)} would find it
     */
    public boolean contains(String name) {
        return header.entries().containsKey(name);
    }

    /**
     * Returns one tensor, without copying it.
     *
     * @param name the tensor's name
     * @return description and bytes, valid until this file is closed
     * @throws SafetensorsException if there is no such tensor; the message says which there are
     * @throws IllegalStateException if this file is closed
     */
    public TensorView tensor(String name) throws SafetensorsException {
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException(Text.oneLine(file.toString()) + ": already closed");
        }
        Header.Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new SafetensorsException(
                    file.toString(), "expected tensor " + Text.quote(name) + ", " + Text.listNames(names, name));
        }
        return new TensorView(name, entry.type, entry.shape, data.asSlice(entry.begin, entry.end - entry.begin));
    }

    /**
     * Unmaps the file; closing again does nothing.
     *
     * @throws IllegalStateException if another thread is inside an operation on one of the views
     */
    @Override
    public synchronized void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
