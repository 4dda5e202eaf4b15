package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.cli.gpu.GpuSchema;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** gpu-check from end to end without a GPU: over the mock of the driver, with the kernels' own source compiled for the CPU, as the tests of the CUDA back end use them. */
class GpuMockTest {

    private static final Path CUDA =
            Path.of("..", "kernels", "cuda").toAbsolutePath().normalize();

    @TempDir
    Path folder;

    private Path kernels = CUDA;

    @BeforeEach
    void buildDriver() throws Exception {
        Optional<Path> emulated = newestKernels();
        assumeTrue(emulated.isPresent(), "the tests of kernels/cuda have not compiled its kernels for the CPU here");
        kernels = emulated.orElseThrow();
        assertThat(start(List.of(
                        "gcc",
                        "-shared",
                        "-fPIC",
                        "-O1",
                        "-Wl,-soname,libcuda.so.1",
                        "-o",
                        folder.resolve("libcuda.so.1").toString(),
                        CUDA.resolve("src/test/mock/libcuda.c").toString(),
                        "-ldl")))
                .as(this::log)
                .isZero();
    }

    private static Optional<Path> newestKernels() throws IOException {
        Path folder = CUDA.resolve("target/mock");
        if (!Files.isDirectory(folder)) {
            return Optional.empty();
        }
        try (Stream<Path> folders = Files.list(folder)) {
            return folders.map(f -> f.resolve("libemulated.so"))
                    .filter(Files::isRegularFile)
                    .max(Comparator.comparingLong(f -> f.toFile().lastModified()));
        }
    }

    /** Every part but the contract tests, in processes of their own. */
    @Test
    void aQuickRunOfAllPartsWritesTheDocumentedForm() throws Exception {
        Path json = folder.resolve("all.json");
        assertThat(check("--quick", "--seconds", "1200", "--json", json.toString()))
                .as(this::log)
                .isZero();
        List<Map<String, Object>> parts = GpuSchema.check(Files.readString(json), "dropless");
        String leftOut = " left out: the run is a quick one";
        assertThat(parts)
                .extracting(part -> part.get("part") + " " + part.get("status"))
                .containsExactly(
                        "device passed",
                        "engines passed",
                        "ceilings passed",
                        "mixtral-8x7b" + leftOut,
                        "olmoe-1b-7b passed",
                        "qwen3-30b-a3b" + leftOut,
                        "dsv3-full" + leftOut,
                        "decode-qwen3-t16 passed",
                        "blocks passed",
                        "kernels passed",
                        "cases-f32 passed",
                        "cases-bf16 passed",
                        "contract left out: the contract tests are only in a bundle",
                        "sonic-120b-n2048" + leftOut,
                        "sonic-30b-n1024" + leftOut,
                        "sonic-7b-n256" + leftOut,
                        "dsv3-ep8" + leftOut,
                        "decode" + leftOut,
                        "megablocks" + leftOut,
                        "portable passed");
        assertThat(names(parts, "olmoe-1b-7b"))
                .startsWith("olmoe-1b-7b layer inference", "olmoe-1b-7b layer inference, graph")
                .contains(
                        "olmoe-1b-7b layer training, graph",
                        "olmoe-1b-7b experts forward",
                        "olmoe-1b-7b experts training, graph");
        assertThat(names(parts, "decode-qwen3-t16"))
                .containsExactly(
                        "decode-qwen3-t16 layer inference",
                        "decode-qwen3-t16 layer inference, graph",
                        "decode-qwen3-t16 experts inference",
                        "decode-qwen3-t16 experts inference, graph");
        assertThat(names(parts, "blocks")).hasSize(4 * 6).contains("megablocks-coarse dds tn");
        assertThat(names(parts, "portable")).contains("portable megablocks-medium layer forward");
        assertThat(fact(parts, "olmoe-1b-7b", "opened")).endsWith("engine hopper");
        assertThat(fact(parts, "olmoe-1b-7b", "olmoe-1b-7b routing")).isEqualTo("device 0");
        assertThat(fact(parts, "portable", "opened")).endsWith("engine portable");
        assertThat(fact(parts, "ceilings", "ceilings")).matches("[0-9.]+,[0-9.]+,[0-9.]+");
    }

    /** What is fastest over a mock means nothing; that the back end takes the file does. */
    @Test
    void whatTuningWritesIsTaken() throws Exception {
        Path json = folder.resolve("tune.json");
        Path file = folder.resolve("tuning.properties");
        assertThat(check("--quick", "--part", "tune", "--tuning", file.toString(), "--json", json.toString()))
                .as(this::log)
                .isZero();
        assertThat(Files.readAllLines(file))
                .contains("measured=yes")
                .anyMatch(line -> line.startsWith("up.0=variant:"))
                .anyMatch(line -> line.startsWith("matmul_nt.0=variant:tile cluster:"));
        assertThat(Files.readString(json)).contains("tune up_wgrad olmoe-1b-7b T=8 variant:short cluster:2 group:16");
        List<String> before = List.of("-Ddropless.cuda.tuning=" + file);
        assertThat(check(before, "--quick", "--part", "device", "--json", json.toString()))
                .as(this::log)
                .isZero();
        Files.writeString(file, "up.0=variant:tile");
        assertThat(check(before, "--quick", "--part", "device", "--json", json.toString()))
                .isEqualTo(Main.BAD_INPUT);
        assertThat(log()).contains("tuning of up.0: expected variant, cluster and group");
    }

    private static List<String> names(List<Map<String, Object>> parts, String part) {
        return ((List<?>) report(parts, part).get("measurements"))
                .stream().map(row -> (String) ((Map<?, ?>) row).get("name")).toList();
    }

    private static String fact(List<Map<String, Object>> parts, String part, String name) {
        return (String) ((Map<?, ?>) report(parts, part).get("facts")).get(name);
    }

    private static Map<?, ?> report(List<Map<String, Object>> parts, String part) {
        return (Map<?, ?>) parts.stream()
                .filter(p -> part.equals(p.get("part")))
                .findAny()
                .orElseThrow()
                .get("report");
    }

    private int check(String... arguments) throws Exception {
        return check(List.of(), arguments);
    }

    /** In a JVM whose command line has the command's name in it, which the parts' processes begin like. */
    private int check(List<String> options, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "--add-modules",
                "jdk.incubator.vector",
                "-Djava.library.path=" + CUDA.resolve("target/natives/lib"),
                "-Ddropless.testData=" + Path.of("..", "test-data", "data").toAbsolutePath()));
        command.addAll(options);
        command.addAll(List.of("-cp", classPath(), "dev.dropless.cli.Main", "gpu-check"));
        command.addAll(Arrays.asList(arguments));
        return start(command);
    }

    private int start(List<String> command) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("log").toFile());
        builder.environment().put("LD_LIBRARY_PATH", folder.toString());
        builder.environment().put("MOCK_CUDA_KERNELS", kernels.toString());
        Process process = builder.start();
        assertThat(process.waitFor(10, TimeUnit.MINUTES)).as(this::log).isTrue();
        return process.exitValue();
    }

    private String log() {
        try {
            return Files.readString(folder.resolve("log"));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private static String classPath() {
        return String.join(
                File.pathSeparator,
                System.getProperty("java.class.path", ""),
                System.getProperty("jdk.module.path", ""),
                Path.of("target", "classes").toAbsolutePath().toString());
    }
}
