package dev.dropless.cli.gpu;

import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.SafetensorsException;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Runs the parts of a check one after the other, each in a JVM of its own: one that hangs, or loses the device, takes no other with it. */
public final class GpuParts {

    /** Names the folder of the contract tests in a bundle. */
    private static final String TESTS = "dropless.tests";

    private static final String CONTRACT = "contract";

    /** The part whose fact of this name those after it are given. */
    private static final String CEILINGS = "ceilings";

    /** What ending a process may take, beyond a part's limit. */
    private static final int END_SECONDS = 3;

    /** Of a quick run, which may be over a CPU that stands in for a GPU. */
    private static final int QUICK_FACTOR = 4;

    /** Less than this is not worth beginning a part. */
    private static final int LEAST_SECONDS = 3;

    /**
     * A part and how long it may take.
     *
     * @param quick whether a quick run has it
     */
    record Part(String name, int seconds, boolean quick) {

        Part(String name, int seconds) {
            this(name, seconds, true);
        }
    }

    /** How a part is started. */
    @FunctionalInterface
    interface Commands {
        /** The command line of a part that writes its report to a file, or to nothing. */
        List<String> of(Part part, Path output, int seconds) throws IOException;
    }

    /** What matters most comes first. The limits add up to less than a run may take, so that no part is cut short by those before it. */
    static final List<Part> PARTS = List.of(
            new Part("device", 12),
            new Part("engines", 35),
            new Part(CEILINGS, 30),
            new Part("mixtral-8x7b", 22, false),
            new Part("olmoe-1b-7b", 14),
            new Part("qwen3-30b-a3b", 16, false),
            new Part("dsv3-full", 28, false),
            new Part("decode-qwen3-t16", 10),
            new Part("blocks", 24),
            new Part("kernels", 45),
            new Part("cases-f32", 35),
            new Part("cases-bf16", 38),
            new Part(CONTRACT, 40),
            new Part("sonic-120b-n2048", 14, false),
            new Part("sonic-30b-n1024", 12, false),
            new Part("sonic-7b-n256", 10, false),
            new Part("dsv3-ep8", 14, false),
            new Part("decode", 10, false),
            new Part("megablocks", 18, false),
            new Part("gemm-glm-up", 12),
            new Part("portable", 16));

    /** Parts that only {@code --part} names. */
    private static final List<String> ALONE = List.of("tune");

    private final long deadline;
    private final String backend;
    private final boolean quick;
    private final Consumer<String> progress;
    private final List<Part> parts;
    private final Commands commands;
    private String ceilings = Ceilings.UNKNOWN.toString();
    private boolean passed = true;

    /**
     * Prepares a run.
     *
     * @param seconds limit of the whole run
     * @param backend what to check
     * @param quick whether small sizes are enough
     * @param progress receives one line per part
     */
    public GpuParts(int seconds, String backend, boolean quick, Consumer<String> progress) {
        this.deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        this.backend = backend;
        this.quick = quick;
        this.progress = progress;
        this.parts = PARTS;
        this.commands = this::command;
    }

    /** A run of other parts. */
    GpuParts(int seconds, Consumer<String> progress, List<Part> parts, Commands commands) {
        this.deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        this.backend = "";
        this.quick = false;
        this.progress = progress;
        this.parts = parts;
        this.commands = commands;
    }

    /**
     * Lists the parts that {@code --part} takes.
     *
     * @return their names
     */
    public static List<String> names() {
        return Stream.concat(PARTS.stream().map(Part::name).filter(n -> !n.equals(CONTRACT)), ALONE.stream())
                .toList();
    }

    /**
     * Tells whether no part failed so far.
     *
     * @return false if one failed, or was left out for want of time
     */
    public boolean passed() {
        return passed;
    }

    /**
     * Runs all parts.
     *
     * @return the results as JSON
     * @throws IOException if a part cannot be started
     * @throws InterruptedException if the thread is interrupted
     */
    public String runAll() throws IOException, InterruptedException {
        List<@Nullable Object> results = new ArrayList<>();
        for (Part part : parts) {
            Map<String, @Nullable Object> result = run(part);
            results.add(result);
            progress.accept(String.format(
                    Locale.ROOT, "%-16s %s (%s s)", part.name, result.get("status"), result.get("seconds")));
            read(result.get("report"));
        }
        Map<String, @Nullable Object> all = new LinkedHashMap<>();
        all.put("schema", GpuReport.SCHEMA);
        all.put("source", "dropless");
        all.put("passed", passed);
        all.put("parts", results);
        return Json.writePretty(all);
    }

    /** Prints what a part measured, and keeps the ceilings. */
    private void read(@Nullable Object report) {
        if (!(report instanceof Map<?, ?> written)) {
            return;
        }
        if (written.get("measurements") instanceof List<?> rows) {
            for (Object row : rows) {
                if (row instanceof Map<?, ?> values) {
                    progress.accept(Measured.line(values));
                }
            }
        }
        if (written.get("facts") instanceof Map<?, ?> facts && facts.get(CEILINGS) instanceof String found) {
            ceilings = found;
        }
    }

    private Map<String, @Nullable Object> run(Part part) throws IOException, InterruptedException {
        Map<String, @Nullable Object> result = new LinkedHashMap<>();
        result.put("part", part.name);
        long left = TimeUnit.NANOSECONDS.toSeconds(deadline - System.nanoTime()) - END_SECONDS;
        if (left < LEAST_SECONDS) {
            return end(result, "left out: the time was up", 0, false);
        }
        String tests = System.getProperty(TESTS);
        if (part.name.equals(CONTRACT) && tests == null) {
            return end(result, "left out: the contract tests are only in a bundle", 0, true);
        }
        if (quick && (!part.quick || part.name.equals(CONTRACT))) {
            return end(result, "left out: the run is a quick one", 0, true);
        }
        int limit = (int) Math.min(quick ? QUICK_FACTOR * part.seconds : part.seconds, left);
        Path output = Files.createTempFile("dropless-" + part.name, ".json");
        Path log = Files.createTempFile("dropless-" + part.name, ".log");
        long start = System.nanoTime();
        try {
            Process process = new ProcessBuilder(commands.of(part, output, limit))
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
            boolean ended = process.waitFor(limit, TimeUnit.SECONDS);
            if (!ended) {
                process.destroyForcibly()
                        .waitFor(END_SECONDS, TimeUnit.SECONDS); // a driver can hold on to one that has ended
            }
            if (Files.size(output) > 0) {
                result.put("report", parse(output));
            }
            boolean good = ended && process.exitValue() == 0;
            if (!good || part.name.equals(CONTRACT)) {
                result.put("log", tail(log));
            }
            String status =
                    good ? "passed" : ended ? "failed, exit status " + process.exitValue() : "stopped at its limit";
            return end(result, status, (System.nanoTime() - start) / 1_000_000_000, good);
        } finally {
            Files.deleteIfExists(output);
            Files.deleteIfExists(log);
        }
    }

    private Map<String, @Nullable Object> end(
            Map<String, @Nullable Object> result, String status, long seconds, boolean good) {
        result.put("status", status);
        result.put("seconds", seconds);
        passed &= good;
        return result;
    }

    private static @Nullable Object parse(Path file) throws IOException {
        try {
            return Json.parse(file.toString(), Files.readString(file));
        } catch (SafetensorsException e) {
            return "unreadable: " + e.getMessage();
        }
    }

    private static List<@Nullable Object> tail(Path log) throws IOException {
        List<String> lines = new String(Files.readAllBytes(log), StandardCharsets.UTF_8)
                .lines()
                .toList();
        return new ArrayList<>(lines.subList(Math.max(0, lines.size() - 60), lines.size()));
    }

    private List<String> command(Part part, Path output, int seconds) throws IOException {
        String tests = System.getProperty(TESTS);
        return part.name.equals(CONTRACT) && tests != null ? contract(Path.of(tests)) : own(part.name, output, seconds);
    }

    /** This program again, with the same JVM options. */
    private List<String> own(String part, Path output, int seconds) {
        ProcessHandle.Info info = ProcessHandle.current().info();
        String java = info.command()
                .orElseThrow(() -> new IllegalStateException("the system does not say how Java was started"));
        List<String> command = new ArrayList<>(List.of(java));
        for (String argument : info.arguments().orElse(new String[0])) {
            if (argument.equals("gpu-check")) {
                break;
            }
            command.add(argument);
        }
        command.addAll(List.of(
                "gpu-check",
                "--part",
                part,
                "--backend",
                backend,
                "--json",
                output.toString(),
                "--ceilings",
                ceilings,
                "--seconds",
                Integer.toString(seconds)));
        if (quick) {
            command.add("--quick");
        }
        return command;
    }

    /** The tests' own jars, and the program's beside them, as one class path. */
    private static List<String> contract(Path tests) throws IOException {
        try (var own = Files.list(tests);
                var program = Files.list(tests.resolveSibling("lib"))) {
            String path = Stream.concat(own, program)
                    .map(Path::toString)
                    .sorted()
                    .collect(Collectors.joining(File.pathSeparator));
            return List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--enable-native-access=ALL-UNNAMED",
                    "-Djava.library.path=" + System.getProperty("java.library.path", ""),
                    "-cp",
                    path,
                    "org.junit.platform.console.ConsoleLauncher",
                    "execute",
                    "--disable-banner",
                    "--disable-ansi-colors",
                    "--details=summary",
                    "--fail-if-no-tests",
                    "-c",
                    "dev.dropless.kernels.cuda.DeviceContractTest",
                    "-c",
                    "dev.dropless.kernels.cuda.DeviceLayerTest");
        }
    }
}
