package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What the jar carries of compiled kernels: how to launch each of them, in which image it lies, and what the compiler said of it. Written by
 * {@code build-kernels.sh}. Immutable.
 */
public final class KernelManifest {

    private static final String NAME = "manifest.properties";
    private static final String LAUNCH = "launch.";

    /**
     * How a kernel is launched. Every kernel has one parameter, a structure of 64-bit words; see {@code src/main/cuda/abi.md}.
     *
     * @param family name of the images it lies in
     * @param threads threads of a block
     * @param sharedBytes dynamic shared memory of a block
     * @param sharedBytesPerExpert further dynamic shared memory for each expert
     * @param argumentWords 64-bit words of the parameter
     */
    public record Launch(String family, int threads, int sharedBytes, int sharedBytesPerExpert, int argumentWords) {

        /** Whether the kernel itself waits for earlier launches before it touches global memory, and so may be started while they end. */
        boolean waitsForEarlierLaunches() {
            return family.startsWith("hopper_") && !family.equals("hopper_maps");
        }
    }

    /**
     * What ptxas said of a kernel on one target.
     *
     * @param registers registers of a thread
     * @param stackBytes local memory of a thread
     * @param spillBytes bytes of registers stored to and loaded from local memory
     */
    public record StaticProperties(int registers, int stackBytes, int spillBytes) {}

    private final Properties entries;

    private KernelManifest(Properties entries) {
        this.entries = entries;
    }

    /**
     * Reads the manifest that this module carries.
     *
     * @return the manifest
     * @throws UncheckedIOException if it cannot be read
     */
    public static KernelManifest load() {
        try (InputStream in = resource(NAME)) {
            return read(in);
        } catch (IOException e) {
            throw new UncheckedIOException("kernel manifest", e);
        }
    }

    /** Reads a manifest from elsewhere: that of a build to compare with. */
    static KernelManifest read(InputStream in) throws IOException {
        Properties entries = new Properties();
        entries.load(in);
        return new KernelManifest(entries);
    }

    /**
     * Returns the version of the compiler that made the images.
     *
     * @return for example "release 13.0, V13.0.88"
     */
    public String compiler() {
        return entries.getProperty("compiler");
    }

    /**
     * Returns the names of all kernels.
     *
     * @return sorted names, as in the images
     */
    public SortedSet<String> kernels() {
        return new TreeSet<>(withPrefix(LAUNCH).keySet());
    }

    /**
     * Returns how a kernel is launched.
     *
     * @param kernel its name
     * @return the launch
     * @throws IllegalArgumentException if there is no such kernel
     */
    public Launch launch(String kernel) {
        String line = entries.getProperty(LAUNCH + kernel);
        if (line == null) {
            throw new IllegalArgumentException("kernel: expected one of the manifest, found \"%s\"".formatted(kernel));
        }
        Map<String, String> fields = fields(line);
        return new Launch(
                fields.getOrDefault("family", ""),
                number(fields, "threads"),
                number(fields, "shared"),
                number(fields, "sharedPerExpert"),
                number(fields, "argumentWords"));
    }

    /**
     * Returns what ptxas said of the kernels.
     *
     * @param target sm_80 or sm_90a
     * @return properties by kernel; empty for another target
     */
    public SortedMap<String, StaticProperties> staticProperties(String target) {
        SortedMap<String, StaticProperties> all = new TreeMap<>();
        withPrefix("static." + target + ".").forEach((kernel, line) -> {
            Map<String, String> fields = fields(line);
            all.put(
                    kernel,
                    new StaticProperties(
                            number(fields, "registers"), number(fields, "stack"), number(fields, "spills")));
        });
        return all;
    }

    /**
     * Returns the SHA-256 of the source files the images were made from.
     *
     * @return lower-case hexadecimal digests by file name
     */
    public SortedMap<String, String> sources() {
        return withPrefix("source.");
    }

    /**
     * Returns the SHA-256 of the images.
     *
     * @return lower-case hexadecimal digests by file name
     */
    public SortedMap<String, String> images() {
        return withPrefix("resource.");
    }

    /**
     * Reads an image that this module carries.
     *
     * @param file one of {@link #images}: FAMILY.sm_80.cubin, FAMILY.sm_90a.cubin or FAMILY.ptx
     * @return its bytes
     * @throws IllegalArgumentException if there is no such image
     * @throws UncheckedIOException if it cannot be read
     */
    public byte[] image(String file) {
        if (!images().containsKey(file)) {
            throw new IllegalArgumentException(
                    "file: expected one of %s, found \"%s\"".formatted(images().keySet(), file));
        }
        try (InputStream in = resource(file)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(file, e);
        }
    }

    private static InputStream resource(String name) throws IOException {
        InputStream in = KernelManifest.class.getResourceAsStream(name);
        if (in == null) {
            throw new IOException("resource dev/dropless/kernels/cuda/%s is missing".formatted(name));
        }
        return in;
    }

    private SortedMap<String, String> withPrefix(String prefix) {
        SortedMap<String, String> found = new TreeMap<>();
        for (String key : entries.stringPropertyNames()) {
            if (key.startsWith(prefix)) {
                found.put(key.substring(prefix.length()), entries.getProperty(key));
            }
        }
        return found;
    }

    /** "a:1 b:2" as a map. */
    private static Map<String, String> fields(String line) {
        return Arrays.stream(line.split(" "))
                .map(field -> field.split(":", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
    }

    private static int number(Map<String, String> fields, String name) {
        return Integer.parseInt(fields.getOrDefault(name, "absent"));
    }
}
