package dev.dropless.cli.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.cli.gpu.GpuParts.Part;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parts that hang, fail or are late, and the form in which results are written, by this program and by the peers' script. */
class GpuPartsTest {

    private static final String REPORT =
            "{\"facts\": {}, \"failed\": 0, \"comparisons\": [], \"measurements\": [], \"notes\": []}";

    @TempDir
    Path folder;

    private static List<String> shell(String script, Path output) {
        return List.of("/bin/sh", "-c", script, "part", output.toString());
    }

    /** The part would take an hour: that this test ends shows that it was stopped. */
    @Test
    void aPartThatHangsIsStoppedAndTheOthersRun() throws Exception {
        List<String> lines = new ArrayList<>();
        GpuParts parts = new GpuParts(
                600,
                lines::add,
                List.of(new Part("good", 120), new Part("hangs", 1), new Part("fails", 120), new Part("last", 120)),
                (part, output, seconds) -> switch (part.name()) {
                    case "hangs" -> shell("echo begun; printf '%s' '" + REPORT + "' > \"$1\"; exec sleep 3600", output);
                    case "fails" -> shell("echo no device; exit 3", output);
                    default -> shell("printf '%s' '" + REPORT + "' > \"$1\"", output);
                });
        List<Map<String, Object>> results = GpuSchema.check(parts.runAll(), "dropless");
        assertThat(results)
                .extracting(r -> r.get("part") + ": " + r.get("status"))
                .containsExactly(
                        "good: passed", "hangs: stopped at its limit", "fails: failed, exit status 3", "last: passed");
        assertThat(results.get(1)).containsEntry("log", List.of("begun")).containsKey("report");
        assertThat(results.get(2)).containsEntry("log", List.of("no device")).doesNotContainKey("report");
        assertThat(parts.passed()).isFalse();
        assertThat(lines).hasSize(4);
    }

    /** A device's loan is short: no part may be cut off by those before it. */
    @Test
    void theLimitsOfAllPartsAddUpToLessThanARunMayTake() {
        assertThat(GpuParts.PARTS.stream().mapToInt(Part::seconds).sum()).isLessThanOrEqualTo(455);
    }

    @Test
    void partsAreLeftOutWhenTheTimeIsUp() throws Exception {
        GpuParts parts = new GpuParts(
                1, line -> {}, List.of(new Part("late", 20)), (part, output, seconds) -> shell("exit 0", output));
        assertThat(GpuSchema.check(parts.runAll(), "dropless"))
                .singleElement()
                .satisfies(r -> assertThat(r).containsEntry("status", "left out: the time was up"));
        assertThat(parts.passed()).isFalse();
    }

    @Test
    void aReportThatIsNoJsonIsSaidToBeUnreadable() throws Exception {
        GpuParts parts = new GpuParts(
                300,
                line -> {},
                List.of(new Part("odd", 120)),
                (part, output, seconds) -> shell("printf '{' > \"$1\"", output));
        assertThat(parts.runAll()).contains("unreadable: ");
    }

    @Test
    void peersWriteTheSameForm() throws Exception {
        Path script = script();
        assertThat(python("-m", "py_compile", script.toString())).isEmpty();
        Path json = folder.resolve("peers.json");
        assertThat(python(script.toString(), "--json", json.toString(), "--seconds", "20"))
                .isEmpty();
        List<Map<String, Object>> parts = GpuSchema.check(Files.readString(json), "torch");
        assertThat(parts).singleElement().satisfies(p -> assertThat(p).containsEntry("part", "peers"));
        assertThat(Files.readString(json))
                .contains(
                        "torch bf16 8192^3 sustained",
                        "olmoe-1b-7b forward grouped_mm",
                        "decode-olmoe-t1 forward loop",
                        "dsv3-full: out of memory");
    }

    private Path script() throws Exception {
        Path script = folder.resolve("gpu_peers.py");
        try (var stream = GpuParts.class.getResourceAsStream("gpu_peers.py")) {
            assertThat(stream).isNotNull();
            Files.copy(stream, script);
        }
        return script;
    }

    /** Runs Python with the stand-in for PyTorch; what it printed. */
    private String python(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("python3"));
        command.addAll(List.of(arguments));
        Path log = folder.resolve("log");
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment()
                .put(
                        "PYTHONPATH",
                        Path.of("src", "test", "resources", "fake_torch")
                                .toAbsolutePath()
                                .toString());
        Process process;
        try {
            process = builder.start();
        } catch (java.io.IOException e) {
            assumeTrue(false, "python3 is not installed");
            throw e;
        }
        assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
        String output = Files.readString(log, StandardCharsets.UTF_8);
        assertThat(process.exitValue()).as(output).isZero();
        return output;
    }
}
