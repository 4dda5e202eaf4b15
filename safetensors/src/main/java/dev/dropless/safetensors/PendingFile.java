package dev.dropless.safetensors;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;

/** A file that appears under its name only when committed, and leaves nothing behind otherwise. */
final class PendingFile implements Closeable {

    private final Path target;
    private final Path temporary;
    private final FileChannel channel;
    private boolean committed;

    private PendingFile(Path target, Path temporary, FileChannel channel) {
        this.target = target;
        this.temporary = temporary;
        this.channel = channel;
    }

    /** Opens a temporary file beside {@code target}: a rename is atomic only within one file system. */
    static PendingFile create(Path target) throws IOException {
        if (Files.isDirectory(target)) {
            throw new SafetensorsException(target.toString(), "expected a file, found a directory");
        }
        Path directory = target.toAbsolutePath().getParent();
        if (directory == null || !Files.isDirectory(directory)) {
            throw new SafetensorsException(target.toString(), "expected an existing directory, found none");
        }
        // Files.createTempFile would make it readable by its owner alone, and the final file with it.
        String unique = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
        Path temporary = directory.resolve(".safetensors-" + unique + ".tmp");
        FileChannel channel = FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        return new PendingFile(target, temporary, channel);
    }

    FileChannel channel() {
        return channel;
    }

    /** Makes the data durable, then gives the file its name, replacing an earlier one in the same instant. */
    void commit() throws IOException {
        channel.force(true);
        channel.close();
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        committed = true;
    }

    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            if (!committed) {
                Files.deleteIfExists(temporary);
            }
        }
    }
}
