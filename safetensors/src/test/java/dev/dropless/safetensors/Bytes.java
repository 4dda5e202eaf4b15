package dev.dropless.safetensors;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Builds files byte by byte, independently of the writer under test. */
final class Bytes {

    private Bytes() {}

    /** A file of a length prefix, a header and so many bytes of data, which count up from 0. */
    static byte[] file(String header, int dataLength) {
        return file(header.getBytes(StandardCharsets.UTF_8), dataLength);
    }

    static byte[] file(byte[] header, int dataLength) {
        return file(header.length, header, dataLength);
    }

    static byte[] file(long statedLength, byte[] header, int dataLength) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(prefix(statedLength));
        out.writeBytes(header);
        for (int i = 0; i < dataLength; i++) {
            out.write(i);
        }
        return out.toByteArray();
    }

    static byte[] prefix(long length) {
        return ByteBuffer.allocate(Long.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .array();
    }

    /** A tensor entry of a header. */
    static String entry(String name, String dtype, String shape, String offsets) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}".formatted(name, dtype, shape, offsets);
    }

    static Path write(Path file, byte[] bytes) throws IOException {
        return Files.write(file, bytes);
    }

    static MemorySegment counting(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 7 + 1);
        }
        return MemorySegment.ofArray(bytes);
    }

    static byte[] of(TensorView tensor) {
        return tensor.data().toArray(ValueLayout.JAVA_BYTE);
    }
}
