package dev.dropless.cli;

import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Writes files that appear whole or not at all. */
final class OutputFiles {

    private OutputFiles() {}

    /** Writes a file: first under a temporary name beside it, then moved into place. */
    static void write(Path target, byte[] content) throws IOException {
        Path absolute = target.toAbsolutePath();
        Path folder = absolute.getParent();
        if (folder == null || Files.isDirectory(absolute)) {
            throw new BadInput(target + ": expected a file to write, found a folder");
        }
        // Not Files.createTempFile: its files are readable by their owner alone.
        Path temporary = folder.resolve(".%s.%d.part"
                .formatted(absolute.getFileName(), ProcessHandle.current().pid()));
        try {
            try {
                Files.write(temporary, content, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            } catch (NoSuchFileException e) {
                throw new BadInput(target + ": expected an existing folder to write into, found none", e);
            } catch (IOException e) {
                throw new BadInput("%s: expected a folder that can be written, found %s".formatted(target, e), e);
            }
            move(temporary, absolute);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException e) {
            Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** Creates a folder and those above it. */
    static void createFolder(Path folder) {
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new BadInput("%s: expected a folder that can be created, found %s".formatted(folder, e), e);
        }
    }
}
