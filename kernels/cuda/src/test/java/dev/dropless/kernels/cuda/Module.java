package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Files of this module as they lie in its folder, and programs run on them. */
final class Module {

    /** Tests run in the folder of their module. */
    static final Path FOLDER = Path.of("").toAbsolutePath();

    static final Path SOURCES = FOLDER.resolve("src/main/cuda");
    static final Path RESOURCES = FOLDER.resolve("src/main/resources/dev/dropless/kernels/cuda");

    private Module() {}

    /** What a program printed, both streams together, and its exit status. */
    record Outcome(int status, String output) {}

    static Outcome run(Path standardInput, List<String> command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("dropless-cuda", ".log");
        try {
            ProcessBuilder builder = new ProcessBuilder(command)
                    .directory(FOLDER.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile());
            if (standardInput != null) {
                builder.redirectInput(standardInput.toFile());
            }
            Process process = builder.start();
            if (!process.waitFor(5, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new IllegalStateException(command + " did not end within 5 minutes");
            }
            return new Outcome(process.exitValue(), Files.readString(output));
        } finally {
            Files.delete(output);
        }
    }

    /** Whether a program of this name is on the path. */
    static boolean has(String program) {
        String path = System.getenv().getOrDefault("PATH", "");
        return Stream.of(path.split(":")).anyMatch(folder -> Files.isExecutable(Path.of(folder, program)));
    }

    /** SHA-256 of the files of a folder whose names end so. */
    static SortedMap<String, String> digests(Path folder, String... endings) throws IOException {
        SortedMap<String, String> digests = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (Stream.of(endings).anyMatch(name::endsWith)) {
                    digests.put(name, sha256(Files.readAllBytes(file)));
                }
            }
        }
        return digests;
    }

    static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new UncheckedIOException(new IOException(e)); // every Java platform has it
        }
    }
}
