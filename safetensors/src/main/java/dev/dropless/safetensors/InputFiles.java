package dev.dropless.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;

/** File access whose every failure is one clear line. */
final class InputFiles {

    private InputFiles() {}

    /** Opens a regular file; a pipe or device is refused before opening it could block. */
    static FileChannel open(Path file) throws SafetensorsException {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            if (attributes.isDirectory()) {
                throw new SafetensorsException(file.toString(), "expected a file, found a directory");
            }
            if (!attributes.isRegularFile()) {
                throw new SafetensorsException(file.toString(), "expected a regular file, found a pipe or device");
            }
            return FileChannel.open(file, StandardOpenOption.READ);
        } catch (IOException e) {
            throw failure(file, "cannot be opened", e);
        }
    }

    /** Reads {@code length} bytes from {@code position}; an end of file before that is an error. */
    static ByteBuffer read(Path file, FileChannel channel, long position, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw new SafetensorsException(
                        file.toString(),
                        "file ended while it was read, expected " + (position + length) + " bytes, found "
                                + (position + buffer.position()));
            }
        }
        return buffer.flip();
    }

    /** Decodes strictly: overlong forms, surrogates and cut sequences are errors, unlike in a JSON parser. */
    static String decodeUtf8(Path file, String what, ByteBuffer bytes) throws SafetensorsException {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(bytes)
                    .toString();
        } catch (CharacterCodingException e) {
            throw new SafetensorsException(
                    file.toString(), what + " is not UTF-8, first bad byte at offset " + bytes.position(), e);
        }
    }

    /** Turns an I/O failure into one line; one that already is a line passes unchanged. */
    static SafetensorsException failure(Path file, String what, IOException e) {
        return switch (e) {
            case SafetensorsException already -> already;
            case NoSuchFileException missing -> new SafetensorsException(file.toString(), "no such file", missing);
            case AccessDeniedException denied -> new SafetensorsException(file.toString(), "permission denied", denied);
            case FileSystemException f
            when f.getReason() != null -> new SafetensorsException(file.toString(), what + ", " + f.getReason(), f);
            default -> new SafetensorsException(file.toString(), what + ", " + describe(e), e);
        };
    }

    /** Names the kind of a failure unless its message alone is the system's own wording. */
    static String describe(IOException e) {
        return e.getClass() == IOException.class && e.getMessage() != null ? e.getMessage() : e.toString();
    }
}
