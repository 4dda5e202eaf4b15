package dev.dropless.benchmarks;

import java.io.IOException;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Properties;

/**
 * What a measured JVM tells the one that started it beside times: JMH carries numbers only. One file for each arm, in the
 * folder that a system property names; without it nothing is written.
 */
public final class Notes {

    /** System property: the folder. */
    public static final String FOLDER = "dropless.bench.notes";

    /** The arm's description. */
    public static final String DESCRIPTION = "description";

    /** Largest relative error found by the check. */
    public static final String ERROR = "max_relative_error";

    /** Operations of a run, padding included. */
    public static final String COMPUTED_FLOPS = "computed_flops";

    /** Median processor time of a run, where one thread computes; else 0. */
    public static final String CPU_SECONDS = "cpu_s";

    /** Median of the bytes that all threads allocate on the Java heap in a run. */
    public static final String ALLOCATED_BYTES = "allocated_bytes";

    /** Why setting up failed. */
    public static final String FAILURE = "failure";

    private Notes() {}

    static void describe(String arm, Arm opened, double error) {
        Properties notes = new Properties();
        notes.setProperty(DESCRIPTION, opened.description());
        notes.setProperty(ERROR, String.format(Locale.ROOT, "%.2e", error));
        notes.setProperty(COMPUTED_FLOPS, Double.toString(opened.computedFlops()));
        write(arm, notes);
    }

    static void failed(String arm, RuntimeException cause) {
        Properties notes = new Properties();
        notes.setProperty(FAILURE, String.valueOf(cause.getMessage() == null ? cause : cause.getMessage()));
        write(arm, notes);
    }

    static void addMedians(String arm, double cpuSeconds, long allocatedBytes) {
        String folder = System.getProperty(FOLDER);
        if (folder != null) {
            try {
                Properties notes = read(Path.of(folder), arm);
                notes.setProperty(CPU_SECONDS, Double.toString(cpuSeconds));
                notes.setProperty(ALLOCATED_BYTES, Long.toString(allocatedBytes));
                write(arm, notes);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static void write(String arm, Properties notes) {
        String folder = System.getProperty(FOLDER);
        if (folder == null) {
            return;
        }
        try (Writer writer = Files.newBufferedWriter(Path.of(folder, arm), StandardCharsets.UTF_8)) {
            notes.store(writer, null);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Reads what an arm wrote.
     *
     * @param folder the folder
     * @param arm name of the arm
     * @return the notes; empty if it did not get so far
     * @throws IOException if the file cannot be read
     */
    public static Properties read(Path folder, String arm) throws IOException {
        Properties notes = new Properties();
        Path file = folder.resolve(arm);
        if (Files.exists(file)) {
            try (Reader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
                notes.load(reader);
            }
        }
        return notes;
    }
}
