package dev.dropless.cli;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Runs the JMH suites in a JVM of their own, from benchmarks.jar, which it builds when there is none of this version. */
@Command(
        name = "bench",
        description =
                "Measures kernels, operations, layer, topology and decoding with JMH, beside padded and other libraries.",
        mixinStandardHelpOptions = true)
final class BenchCommand implements Callable<Integer> {

    /** Set by the start script: the root of the checkout. */
    private static final String HOME = "dropless.home";

    private static final String TORNADO = "tornado";

    private static final String PROGRESS_LINE = "@progress ";

    /** What every JVM with the Vector API prints on standard output, and nothing silences. */
    private static final String JVM_NOTICE = "WARNING: Using incubator modules";

    private static final String MAIN = "dev.dropless.benchmarks.suite.SuiteRunner";

    /** What can be measured. */
    enum Suite {
        KERNELS,
        OPERATIONS,
        LAYER,
        PEERS,
        TOPOLOGY,
        DECODE,
        GPU
    }

    @Spec
    private CommandSpec spec;

    @Option(names = "--suite", required = true, description = "${COMPLETION-CANDIDATES} (any case)")
    private Suite suite = Suite.LAYER;

    @Option(
            names = "--shape",
            paramLabel = "NAME",
            description = "a shape, for instance olmoe-1b-7b (default: the suite's)")
    private @Nullable String shape;

    @Option(names = "--tokens", paramLabel = "N", description = "T (default: the suite's)")
    private @Nullable Integer tokens;

    @Option(
            names = "--threads",
            paramLabel = "N",
            split = ",",
            defaultValue = "1",
            description = "numbers of threads; several are compared with one (default: ${DEFAULT-VALUE})")
    private List<Integer> threads = List.of(1);

    @Option(names = "--routing", paramLabel = "NAME", split = ",", description = "uniform, zipf, one-hot, holes")
    private List<String> routings = List.of();

    @Option(
            names = "--pass",
            paramLabel = "NAME",
            split = ",",
            description =
                    "forward, forward+backward; in suite operations also up, down, combine, downDgrad, downWgrad, upDgrad,"
                            + " upWgrad, aggregate; in suite kernels gemm, sdd, dsd, dds")
    private List<String> passes = List.of();

    @Option(names = "--arm", paramLabel = "NAME", split = ",", description = "who computes (default: everyone)")
    private List<String> arms = List.of();

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "cpu or tornado: short for the arms of that back end")
    private @Nullable String backend;

    @Option(
            names = "--dtype",
            paramLabel = "NAME",
            split = ",",
            defaultValue = "f32",
            description = "f32, bf16, int8 (weights in 8 bits, forward only); default ${DEFAULT-VALUE}")
    private List<String> dtypes = List.of("f32");

    @Option(names = "--quick", description = "one JVM for each arm and short iterations: for a look, not for a claim")
    private boolean quick;

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            description =
                    "begin nothing that may not be done by then, and say what was left out; 0 for no limit (default:"
                            + " 180 with --quick, else 0)")
    private @Nullable Integer limit;

    @Option(names = "--json", paramLabel = "FILE", description = "write the rows")
    private @Nullable Path json;

    @Option(names = "--html", paramLabel = "FILE", description = "write a page with tables and charts")
    private @Nullable Path html;

    @Override
    public Integer call() throws IOException, InterruptedException {
        if (suite == Suite.GPU) {
            throw new BadInput("--suite gpu: expected a suite that JMH measures on the host, found the one of the CUDA"
                    + " back end, which needs an NVIDIA GPU and is not part of benchmarks.jar");
        }
        chooseArms();
        checkFolder("--json", json);
        checkFolder("--html", html);
        Path home = home();
        Path work = Files.createDirectories(home.resolve("target/dropless"));
        String classPath = classPath(home, work);
        Path log = work.resolve("bench.log");
        Process process = new ProcessBuilder(arguments(classPath))
                .redirectError(log.toFile())
                .start();
        try {
            relay(process);
            int status = process.waitFor();
            if (status == Main.BAD_INPUT) {
                throw new BadInput(lastComplaint(log));
            }
            if (status != Main.DONE && status != Main.COMPARISON_FAILED) {
                throw new IllegalStateException("the benchmarks ended with status %d; see %s".formatted(status, log));
            }
            return status;
        } finally {
            process.descendants().forEach(ProcessHandle::destroy); // measured JVMs, if this thread was interrupted
            process.destroy();
        }
    }

    /** A back end's own arms; those of the CPU are everyone's default. */
    private void chooseArms() {
        if (backend == null || backend.equals("cpu")) {
            return;
        }
        if (!backend.equals(TORNADO) || !arms.isEmpty()) {
            throw new BadInput("--backend: expected cpu or tornado, without --arm, found %s%s"
                    .formatted(backend, arms.isEmpty() ? "" : " with --arm"));
        }
        arms = List.of(TORNADO);
    }

    private static void checkFolder(String option, @Nullable Path file) {
        if (file != null) {
            Path folder = file.toAbsolutePath().getParent();
            if (folder == null || !Files.isDirectory(folder) || Files.isDirectory(file)) {
                throw new BadInput("%s: expected a file in an existing folder, found %s".formatted(option, file));
            }
        }
    }

    private static Path home() {
        String home = System.getProperty(HOME);
        if (home == null || !Files.isRegularFile(Path.of(home, "benchmarks", "pom.xml"))) {
            throw new BadInput("bench: expected a checkout of the sources in system property %s, found %s"
                    .formatted(HOME, home == null ? "none" : home));
        }
        return Path.of(home);
    }

    /** benchmarks.jar, and the peers' jars once they were asked for: both are always built together. */
    private String classPath(Path home, Path work) throws IOException, InterruptedException {
        Path jar = home.resolve("benchmarks/target/benchmarks.jar");
        Path peers = home.resolve("benchmarks/peers/target");
        boolean withPeers = suite == Suite.PEERS || Files.isDirectory(peers.resolve("lib"));
        Path built = home.resolve("cli/target/dropless/built");
        if (older(jar, built) || (withPeers && jar(peers) == null)) {
            build(home, work, withPeers);
        }
        List<String> parts = new ArrayList<>(List.of(jar.toString()));
        if (withPeers) {
            parts.add(String.valueOf(jar(peers)));
            parts.add(peers.resolve("lib") + File.separator + "*");
        }
        return String.join(File.pathSeparator, parts);
    }

    private static boolean older(Path file, Path than) throws IOException {
        return !Files.exists(file)
                || (Files.exists(than)
                        && Files.getLastModifiedTime(file).compareTo(Files.getLastModifiedTime(than)) < 0);
    }

    private static @Nullable Path jar(Path target) throws IOException {
        if (!Files.isDirectory(target)) {
            return null;
        }
        try (var files = Files.newDirectoryStream(target, "dropless-benchmarks-peers-*.jar")) {
            for (Path file : files) {
                return file;
            }
        }
        return null;
    }

    private static void build(Path home, Path work, boolean withPeers) throws IOException, InterruptedException {
        Path log = work.resolve("bench-build.log");
        List<String> command = new ArrayList<>(List.of(
                home.resolve("mvnw").toString(),
                "-B",
                "-ntp",
                "-q",
                "-pl",
                withPeers ? "benchmarks,benchmarks/peers" : "benchmarks",
                "-am",
                "package",
                "-Dmaven.test.skip=true",
                "-Dmaven.javadoc.skip=true",
                "-Dspotless.check.skip=true",
                "-Djacoco.skip=true"));
        if (withPeers) {
            command.add("-Ppeers");
        }
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(home.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        try (Progress progress = Progress.of("build benchmarks", 1)) {
            int status = builder.start().waitFor();
            progress.step();
            if (status != 0) {
                throw new BadInput("benchmarks.jar: expected a build that succeeds, see " + log);
            }
        }
    }

    private List<String> arguments(String classPath) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        String tornado = System.getenv("TORNADOVM_HOME");
        if (tornado != null && !tornado.isEmpty() && arms.contains(TORNADO)) {
            command.add("@" + tornado + "/tornado-argfile");
            command.add("-Dtornado.recover.bailout=False");
            command.add("-Ddropless.bench.tornado=" + tornado);
        }
        command.addAll(List.of(
                "-Xmx1g",
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Djava.awt.headless=true",
                "-Ddropless.bench.progress=true",
                "-cp",
                classPath,
                MAIN,
                "suite=" + suite.name().toLowerCase(Locale.ROOT),
                "threads=" + threads.stream().map(String::valueOf).collect(Collectors.joining(",")),
                "dtype=" + String.join(",", dtypes),
                "quick=" + quick,
                "routing=" + String.join(",", routings),
                "pass=" + String.join(",", passes),
                "arm=" + String.join(",", arms)));
        add("shape", shape, command);
        add("tokens", tokens, command);
        add("limit", limit, command);
        add("json", json == null ? null : json.toAbsolutePath(), command);
        add("html", html == null ? null : html.toAbsolutePath(), command);
        return command;
    }

    private static void add(String key, @Nullable Object value, List<String> command) {
        if (value != null) {
            command.add(key + "=" + value);
        }
    }

    /** Prints what the other JVM prints; its progress lines move the bar. */
    private void relay(Process process) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        Progress progress = null;
        try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.startsWith(JVM_NOTICE)) {
                    continue;
                }
                if (!line.startsWith(PROGRESS_LINE)) {
                    out.println(line);
                    continue;
                }
                String[] words = line.substring(PROGRESS_LINE.length()).split(" ", 3);
                if (progress == null) {
                    progress = Progress.of("bench", Long.parseLong(words[1]));
                } else {
                    progress.step();
                }
                progress.describe(words[2]);
            }
        } finally {
            if (progress != null) {
                progress.close();
            }
            out.flush();
        }
    }

    private static String lastComplaint(Path log) throws IOException {
        return Files.readAllLines(log).stream()
                .filter(line -> line.startsWith("dropless: "))
                .map(line -> line.substring("dropless: ".length()))
                .reduce((first, second) -> second)
                .orElse("bench: see " + log);
    }
}
