package dev.dropless.testdata;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Finds the files under {@code test-data/data} of a checkout.
 *
 * <p>They stay plain files, not resources of a jar, so that tests can map them into memory and readers in other languages
 * can open them. The build passes the folder in the system property {@value #PROPERTY}; without it, as in an IDE, the
 * working directory and its parents are searched.
 */
public final class TestData {

    /** System property that names the data folder. */
    public static final String PROPERTY = "dropless.testData";

    private TestData() {}

    /**
     * Returns the data folder.
     *
     * @return an existing directory, absolute
     * @throws IllegalStateException if the property names no directory, or if no parent of the working directory has one
     */
    public static Path directory() {
        return directory(System.getProperty(PROPERTY), Path.of(""));
    }

    /**
     * Returns one file or folder of the data folder.
     *
     * @param relative path below {@link #directory()}, with {@code /} between its parts
     * @return an existing path, absolute
     * @throws IllegalArgumentException if there is no such file, or if {@code relative} leads out of the data folder
     */
    public static Path path(String relative) {
        return path(directory(), relative);
    }

    static Path directory(@Nullable String configured, Path workingDirectory) {
        if (configured != null) {
            Path folder = Path.of(configured).toAbsolutePath().normalize();
            if (!Files.isDirectory(folder)) {
                throw new IllegalStateException(PROPERTY + ": expected a directory, found " + folder);
            }
            return folder;
        }
        Path start = workingDirectory.toAbsolutePath().normalize();
        for (Path parent = start; parent != null; parent = parent.getParent()) {
            Path folder = parent.resolve("test-data").resolve("data");
            if (Files.isDirectory(folder)) {
                return folder;
            }
        }
        throw new IllegalStateException(
                "no test-data/data in " + start + " or its parents; set -D" + PROPERTY + "=<directory>");
    }

    static Path path(Path directory, String relative) {
        Path path = directory.resolve(relative).normalize();
        if (!path.startsWith(directory)) {
            throw new IllegalArgumentException("relative: expected a path below " + directory + ", found " + relative);
        }
        if (!Files.exists(path)) {
            throw new IllegalArgumentException("relative: expected an existing file, found none at " + path);
        }
        return path;
    }
}
