package dev.dropless.safetensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Collects metadata and tensors and writes them as one safetensors file that appears whole or not at all.
 *
 * <p>The bytes depend only on what was added and in which order: the header lists metadata and tensors in that order,
 * data follows in the same order without gaps, and the header is padded with spaces so that data starts at a multiple
 * of 8 bytes. Tensor data is read while writing and never held twice. Not safe for use by several threads at once.
 */
public final class SafetensorsWriter {

    private static final int ALIGNMENT = 8;
    private static final int STAGING_BYTES = 1 << 20;

    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Header.Entry> entries = new LinkedHashMap<>();
    private final Map<String, TensorSource> sources = new LinkedHashMap<>();
    private long dataLength;

    /** Starts an empty file. */
    public SafetensorsWriter() {}

    /**
     * Adds one metadata entry.
     *
     * @param key its key, not used before
     * @param value its value
     * @return this writer
     * @throws IllegalArgumentException if the key was used before or either text has an unpaired surrogate
     */
    public SafetensorsWriter metadata(String key, String value) {
        requireUnicode("key", key);
        requireUnicode("value", value);
        if (metadata.putIfAbsent(key, value) != null) {
            throw new IllegalArgumentException("key: expected a new metadata key, found " + Text.quote(key) + " again");
        }
        return this;
    }

    /**
     * Adds a tensor whose bytes exist already. The segment must stay valid and unchanged until the file is written.
     *
     * @param name its name, not used before
     * @param type element type
     * @param shape dimensions, slowest first; empty for a scalar
     * @param data the elements, row-major and little endian, on or off the heap
     * @return this writer
     * @throws IllegalArgumentException if the name is reserved, was used before or has an unpaired surrogate, a
     *     dimension is negative, or the segment's size is not that of the tensor
     */
    public SafetensorsWriter tensor(String name, TensorType type, long[] shape, MemorySegment data) {
        long expected = type.byteSize(shape);
        if (data.byteSize() != expected) {
            throw new IllegalArgumentException("data: expected " + expected + " bytes for " + type
                    + Arrays.toString(shape) + ", found " + data.byteSize());
        }
        return tensor(name, type, shape, sink -> sink.write(data));
    }

    /**
     * Adds a tensor whose bytes are produced while the file is written.
     *
     * @param name its name, not used before
     * @param type element type
     * @param shape dimensions, slowest first; empty for a scalar
     * @param source called once per {@link #write(Path)}, in the order tensors were added
     * @return this writer
     * @throws IllegalArgumentException if the name is reserved, was used before or has an unpaired surrogate, or a
     *     dimension is negative
     */
    public SafetensorsWriter tensor(String name, TensorType type, long[] shape, TensorSource source) {
        requireUnicode("name", name);
        if (name.equals(Header.METADATA_KEY) || entries.containsKey(name)) {
            throw new IllegalArgumentException("name: expected a new tensor name, found "
                    + (name.equals(Header.METADATA_KEY) ? "the reserved " : "again ") + Text.quote(name));
        }
        long begin = dataLength;
        long end;
        try {
            end = Math.addExact(begin, type.byteSize(shape));
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "shape: expected at most 2^63-1 bytes in all, found more with " + Arrays.toString(shape), e);
        }
        entries.put(name, new Header.Entry(name, type, shape.clone(), begin, end));
        sources.put(name, source);
        dataLength = end;
        return this;
    }

    /**
     * Adds a copy of a tensor of another file, which must stay open until this one is written.
     *
     * @param tensor the tensor; name, type and shape are kept
     * @return this writer
     * @throws IllegalArgumentException if a tensor of that name was added before
     */
    public SafetensorsWriter tensor(TensorView tensor) {
        return tensor(tensor.name(), tensor.type(), tensor.shape(), tensor.data());
    }

    /**
     * Writes the file: first under a temporary name in the same directory, then moved over the target in one step. If
     * anything fails, no file remains and an existing target is untouched. An exception of a {@link TensorSource}
     * passes to the caller, an {@link IOException} as the cause.
     *
     * @param target the file to create or replace; its directory must exist
     * @throws SafetensorsException if it cannot be written, a source gives too few or too many bytes, or the header
     *     would exceed 100,000,000 bytes
     */
    public void write(Path target) throws SafetensorsException {
        byte[] header = header(target);
        try (PendingFile pending = PendingFile.create(target);
                Arena arena = Arena.ofConfined()) {
            Output output = new Output(target, pending.channel(), arena.allocate(STAGING_BYTES));
            output.begin("header", header.length);
            output.write(MemorySegment.ofArray(header));
            for (Header.Entry entry : entries.values()) {
                writeTensor(target, entry, output);
            }
            output.finish();
            pending.commit();
        } catch (IOException e) {
            throw InputFiles.failure(target, "cannot be written", e);
        }
    }

    private void writeTensor(Path target, Header.Entry entry, Output output) throws IOException {
        String tensor = "tensor " + Text.quote(entry.name);
        output.begin(tensor, entry.end - entry.begin);
        try {
            Objects.requireNonNull(sources.get(entry.name)).writeTo(output);
        } catch (SafetensorsException e) {
            throw e;
        } catch (IOException e) {
            // A source may fail on a file of its own, which must not be mistaken for the target.
            throw new SafetensorsException(
                    target.toString(), "cannot be written, " + tensor + ": " + InputFiles.describe(e), e);
        }
    }

    private byte[] header(Path target) throws SafetensorsException {
        Map<String, Object> json = new LinkedHashMap<>();
        if (!metadata.isEmpty()) {
            json.put(Header.METADATA_KEY, metadata);
        }
        entries.forEach((name, entry) -> json.put(name, entry.toJson()));
        byte[] text = Json.write(json).getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(text.length, ALIGNMENT) * ALIGNMENT;
        if (padded > Header.MAX_BYTES) {
            throw new SafetensorsException(
                    target.toString(), "expected a header of at most " + Header.MAX_BYTES + " bytes, found " + padded);
        }
        byte[] bytes = new byte[HeaderReader.PREFIX_BYTES + padded];
        Arrays.fill(bytes, (byte) ' ');
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(padded).put(text);
        return bytes;
    }

    private static void requireUnicode(String argument, String text) {
        if (!Text.isUnicode(text)) {
            throw new IllegalArgumentException(
                    argument + ": expected Unicode text, found an unpaired surrogate in " + Text.quote(text));
        }
    }

    /**
     * Counts the bytes of each part, and stages them off the heap: a channel takes neither segments nor, in one call,
     * more than 2 GiB.
     */
    private static final class Output implements TensorSink {

        private final Path target;
        private final FileChannel channel;
        private final MemorySegment staging;
        private final ByteBuffer buffer;
        private String part = "";
        private long expected;
        private long written;

        Output(Path target, FileChannel channel, MemorySegment staging) {
            this.target = target;
            this.channel = channel;
            this.staging = staging;
            this.buffer = staging.asByteBuffer();
        }

        void begin(String nextPart, long bytes) throws IOException {
            checkComplete();
            part = nextPart;
            expected = bytes;
            written = 0;
        }

        @Override
        public void write(MemorySegment bytes) throws IOException {
            if (bytes.byteSize() > expected - written) {
                throw new SafetensorsException(
                        target.toString(), part + ": expected " + expected + " bytes from its source, found more");
            }
            long position = 0;
            while (position < bytes.byteSize()) {
                if (!buffer.hasRemaining()) {
                    flush();
                }
                int count = (int) Math.min(buffer.remaining(), bytes.byteSize() - position);
                MemorySegment.copy(bytes, position, staging, buffer.position(), count);
                buffer.position(buffer.position() + count);
                position += count;
            }
            written += position;
        }

        void finish() throws IOException {
            checkComplete();
            flush();
        }

        private void checkComplete() throws SafetensorsException {
            if (written != expected) {
                throw new SafetensorsException(
                        target.toString(),
                        part + ": expected " + expected + " bytes from its source, found " + written);
            }
        }

        private void flush() throws IOException {
            buffer.flip();
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
            buffer.clear();
        }
    }
}
