package dev.dropless.cli.gpu;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * An archive with one folder:
 * <pre>
 *   dropless-bundle/run.sh            starts the command with the runtime beside it
 *                   gpu_peers.py      measures the peers where torch is installed
 *                   runtime/          a Java runtime with the modules that are needed, which cannot draw
 *                   lib/              this program, as modules, without what draws
 *                   natives/          JCuda's libraries, so that nothing is unpacked elsewhere
 *                   tests/            the contract tests of the CUDA back end, a class path together with lib
 *                   test-data/        reference cases and the demo's text
 * </pre>
 */
public final class GpuBundle {

    private static final String NAME = "dropless-bundle";

    /** Without java.desktop: pictures are drawn elsewhere. Without java.xml: JUnit writes no reports. */
    private static final String MODULES = "java.base,java.logging,jdk.incubator.vector,jdk.unsupported";

    /** Beginnings of the names of jars that only pictures need. */
    private static final List<String> PICTURES =
            List.of("xchart", "VectorGraphics2D", "graphics2d", "pdfbox", "fontbox", "commons-logging", "animated-gif");

    /** Beginnings of the names of jars that belong to the tests' libraries, and that these tests do not use. */
    private static final List<String> UNUSED_BY_TESTS = List.of("byte-buddy");

    private final Path root;

    /**
     * Prepares a bundle.
     *
     * @param root of the checkout, built
     */
    public GpuBundle(Path root) {
        this.root = root;
    }

    /**
     * Says how tar compresses an archive of this name.
     *
     * @param file its name
     * @return an option of tar, or an empty string for other names
     */
    public static String compression(String file) {
        return file.endsWith(".tar.xz") ? "-J" : file.endsWith(".tar.gz") ? "-z" : "";
    }

    /**
     * Writes the archive; it appears whole or not at all.
     *
     * @param target where to
     * @param compression as {@link #compression} says
     * @return its size in bytes
     * @throws IOException if something is missing, or a command fails
     * @throws InterruptedException if the thread is interrupted
     */
    public long write(Path target, String compression) throws IOException, InterruptedException {
        Path work = Files.createTempDirectory("dropless-bundle");
        Path temporary = target.resolveSibling(".%s.%d.part"
                .formatted(target.getFileName(), ProcessHandle.current().pid()));
        try {
            Path bundle = Files.createDirectory(work.resolve(NAME));
            fill(bundle);
            command(List.of("tar", "-C", work.toString(), "-c", compression, "-f", temporary.toString(), NAME));
            Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            return Files.size(target);
        } finally {
            Files.deleteIfExists(temporary);
            delete(work);
        }
    }

    /**
     * Makes the folder that is packed.
     *
     * @param bundle an empty folder
     * @throws IOException if something is missing, or a command fails
     * @throws InterruptedException if the thread is interrupted
     */
    public void fill(Path bundle) throws IOException, InterruptedException {
        Path jdk = Path.of(System.getProperty("java.home"));
        command(List.of(
                need(jdk.resolve("bin").resolve("jlink"), "a JDK that has jlink")
                        .toString(),
                "--add-modules",
                MODULES,
                "--compress=zip-0",
                "--strip-debug",
                "--no-header-files",
                "--no-man-pages",
                "--output",
                bundle.resolve("runtime").toString()));
        Path jars = root.resolve("cli").resolve("target").resolve("dropless");
        stripSymbols(bundle.resolve("runtime").resolve("lib").resolve("server").resolve("libjvm.so"));
        copyFiles(
                need(jars, "the program, built"),
                bundle.resolve("lib"),
                f -> isJar(f) && !begins(f, PICTURES),
                GpuBundle::store);
        copyFiles(
                need(jars.resolve("natives"), "JCuda's libraries"),
                bundle.resolve("natives"),
                f -> f.endsWith(".so"),
                Files::copy);
        Path tests = root.resolve("kernels").resolve("cuda").resolve("target").resolve("bundle-tests");
        copyFiles(
                need(tests, "the contract tests, built"),
                bundle.resolve("tests"),
                f -> isJar(f)
                        && !begins(f, UNUSED_BY_TESTS)
                        && !Files.exists(bundle.resolve("lib").resolve(f)),
                GpuBundle::store);
        copyTree(need(root.resolve("test-data").resolve("data"), "the test data"), bundle.resolve("test-data"));
        resource("run.sh", bundle.resolve("run.sh"));
        resource("gpu_peers.py", bundle.resolve("gpu_peers.py"));
    }

    private static Path need(Path path, String what) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString(), null, what);
        }
        return path;
    }

    private static void resource(String name, Path target) throws IOException {
        try (InputStream stream = GpuBundle.class.getResourceAsStream(name)) {
            if (stream == null) {
                throw new IOException("resource " + name + " is missing from the jar");
            }
            Files.copy(stream, target);
        }
        Files.setPosixFilePermissions(target, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** How a file gets into the bundle. */
    @FunctionalInterface
    private interface Copy {
        void copy(Path from, Path to) throws IOException;
    }

    /** A jar whose entries are not compressed: the archive compresses all of them together, to less than half of what they take one by one. */
    private static void store(Path from, Path to) throws IOException {
        try (ZipFile jar = new ZipFile(from.toFile());
                ZipOutputStream stored = new ZipOutputStream(Files.newOutputStream(to))) {
            stored.setMethod(ZipOutputStream.STORED);
            for (ZipEntry entry : Collections.list(jar.entries())) {
                byte[] content;
                try (InputStream in = jar.getInputStream(entry)) {
                    content = in.readAllBytes();
                }
                CRC32 sum = new CRC32();
                sum.update(content);
                ZipEntry copy = new ZipEntry(entry.getName());
                copy.setTime(entry.getTime());
                copy.setSize(content.length);
                copy.setCrc(sum.getValue());
                stored.putNextEntry(copy);
                stored.write(content);
                stored.closeEntry();
            }
        }
    }

    /** Takes what only debuggers read out of a library, where binutils are installed: a sixth of it. */
    private static void stripSymbols(Path library) throws IOException, InterruptedException {
        boolean installed = Arrays.stream(
                        System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, "strip")));
        if (installed) {
            command(List.of("strip", "--strip-unneeded", library.toString()));
        }
    }

    private static void copyFiles(Path from, Path to, Predicate<String> wanted, Copy how) throws IOException {
        Files.createDirectories(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (wanted.test(name)) {
                    how.copy(file, to.resolve(name));
                }
            }
        }
    }

    /** Jars of native libraries are left out: their content lies unpacked beside them. */
    private static boolean isJar(String file) {
        return file.endsWith(".jar") && !file.contains("-natives-");
    }

    private static boolean begins(String file, List<String> names) {
        return names.stream().anyMatch(file::startsWith);
    }

    private static void copyTree(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    /** Runs a command that compresses as well as it can. */
    private static void command(List<String> command) throws IOException, InterruptedException {
        File log = Files.createTempFile("dropless", ".log").toFile();
        try {
            ProcessBuilder builder =
                    new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log);
            builder.environment().putAll(Map.of("XZ_OPT", "-9", "GZIP", "-9"));
            int status = builder.start().waitFor();
            if (status != 0) {
                String output =
                        Files.readString(log.toPath(), StandardCharsets.UTF_8).strip();
                throw new IOException("%s ended with %d: %s".formatted(command.getFirst(), status, output));
            }
        } finally {
            Files.delete(log.toPath());
        }
    }
}
