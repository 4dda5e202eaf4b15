package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.safetensors.SafetensorsWriter;
import dev.dropless.testdata.TestData;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every reference case of the supported kinds and families through the command, and its exit statuses. */
class EvalCommandTest {

    /** How many cases there are, so that none is left out silently. */
    private static final Map<String, Integer> EXPECTED = new TreeMap<>(Map.of(
            "aux_losses", 4,
            "block_sparse_matmul", 7,
            "megablocks_dmoe", 6,
            "megablocks_moe", 2,
            "mixtral", 6,
            "olmoe", 4,
            "qwen3_moe", 4,
            "topology", 8));

    private static final int ALL_FILES = 128;

    private static final Path ORACLE = TestData.path("oracle");

    @TempDir
    private Path temporary;

    @ParameterizedTest
    @CsvSource({
        "f64, fused, reference",
        "f64, sparse, reference",
        "f64, padded, reference",
        "f32, fused, cpu",
        "f32, sparse, cpu",
        "f32, padded, cpu",
        "f32, fused, reference",
        "bf16, fused, cpu",
        "bf16, fused, reference",
    })
    void allCasesAgreeWithTheStoredResults(String precision, String path, String backend) {
        var result = CommandRunner.run(
                "eval", "--cases", ORACLE, "--check", "--precision", precision, "--path", path, "--backend", backend);

        assertThat(result.err()).isEmpty();
        assertThat(result.out().lines().filter(line -> line.contains("FAIL"))).isEmpty();
        Map<String, Integer> found = new TreeMap<>();
        result.out()
                .lines()
                .filter(line -> line.startsWith("ok "))
                .forEach(line -> found.merge(line.strip().split("\\s+|/")[1], 1, Integer::sum));
        assertThat(found).isEqualTo(EXPECTED);
        int evaluated = EXPECTED.values().stream().mapToInt(Integer::intValue).sum();
        assertThat(result.out())
                .endsWith("%d evaluated, 0 failed, %d skipped%n".formatted(evaluated, ALL_FILES - evaluated));
        assertThat(result.status()).isZero();
    }

    @Test
    void outputsHaveTheNamesTypesAndShapesOfTheCase() throws IOException {
        Path out = temporary.resolve("out");
        Path cases = Files.createDirectories(temporary.resolve("cases/deeper/olmoe"));
        Files.copy(ORACLE.resolve("olmoe/random.safetensors"), cases.resolve("random.safetensors"));
        Files.copy(ORACLE.resolve("dbrx/random.safetensors"), cases.resolve("other.safetensors"));

        var result = CommandRunner.run("eval", "--cases", temporary.resolve("cases"), "--out", out);

        assertThat(result.status()).isZero();
        assertThat(result.out()).contains("skipped  deeper/olmoe/other.safetensors: family: expected one of");
        assertThat(files(out)).containsExactly(Path.of("deeper/olmoe/random.safetensors"));
        try (SafetensorsFile stored = SafetensorsFile.open(cases.resolve("random.safetensors"));
                SafetensorsFile computed = SafetensorsFile.open(out.resolve("deeper/olmoe/random.safetensors"))) {
            List<String> expected = stored.names().stream()
                    .filter(name -> name.startsWith("case."))
                    .filter(name -> !name.equals("case.input") && !name.equals("case.grad_output"))
                    .toList();
            assertThat(computed.names()).containsExactlyInAnyOrderElementsOf(expected);
            for (String name : expected) {
                assertThat(computed.tensor(name).type())
                        .isEqualTo(stored.tensor(name).type());
                assertThat(computed.tensor(name).shape())
                        .isEqualTo(stored.tensor(name).shape());
            }
            assertThat(computed.metadata()).containsEntry("family", "olmoe").containsEntry("computed_in", "f64");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"case.output", "case.grad.mlp.gate.weight", "case.topk_indices", "case.aux.load_balancing_loss"})
    void aWrongStoredResultFailsTheCheck(String name) throws IOException {
        Path wrong = temporary.resolve("wrong.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(ORACLE.resolve("olmoe/random.safetensors"))) {
            SafetensorsWriter writer = new SafetensorsWriter();
            file.metadata().forEach(writer::metadata);
            for (String tensor : file.names()) {
                var view = file.tensor(tensor);
                byte[] bytes = view.data().toArray(ValueLayout.JAVA_BYTE);
                if (tensor.equals(name)) {
                    bytes[bytes.length - (tensor.contains("indices") ? 8 : 2)] ^= 0x10;
                }
                writer.tensor(tensor, view.type(), view.shape(), MemorySegment.ofArray(bytes));
            }
            writer.write(wrong);
        }

        var result = CommandRunner.run("eval", "--case", wrong, "--check");

        assertThat(result.out().lines().filter(line -> line.startsWith("  FAIL")))
                .singleElement()
                .asString()
                .contains("FAIL " + name + ":");
        assertThat(result.status()).isEqualTo(1);
    }

    @Test
    void anUnsupportedFamilyIsNamed() {
        Path out = temporary.resolve("out.safetensors");

        assertBadInput(
                CommandRunner.run("eval", "--case", ORACLE.resolve("dbrx/random.safetensors"), "--out", out),
                "family: expected one of mixtral",
                "found \"dbrx\"");
        assertThat(out).doesNotExist();
    }

    @Test
    void badFilesAreBadInput() throws IOException {
        Path out = temporary.resolve("out.safetensors");
        byte[] whole = Files.readAllBytes(ORACLE.resolve("olmoe/random.safetensors"));
        Path truncated = temporary.resolve("truncated.safetensors");
        Files.write(truncated, Arrays.copyOf(whole, whole.length - 5));
        Path noCase = temporary.resolve("plain.safetensors");
        new SafetensorsWriter().write(noCase);

        assertBadInput(CommandRunner.run("eval", "--case", temporary.resolve("none"), "--out", out), "none");
        assertBadInput(CommandRunner.run("eval", "--case", truncated, "--out", out), "truncated.safetensors");
        assertBadInput(
                CommandRunner.run("eval", "--case", noCase, "--out", out),
                "plain.safetensors: metadata key format: expected \"moe-oracle-1\", found none");
        assertBadInput(
                CommandRunner.run("eval", "--cases", temporary.resolve("none"), "--out", out),
                "--cases: expected a folder");
        assertThat(out).doesNotExist();
    }

    @Test
    void wrongOptionsAreBadInput() {
        Path file = ORACLE.resolve("olmoe/one_token.safetensors");

        assertBadInput(CommandRunner.run("eval", "--out", "x"), "--case");
        assertBadInput(CommandRunner.run("eval", "--case", file), "--out: expected a path");
        assertBadInput(CommandRunner.run("eval", "--case", file, "--check", "--precision", "f16"), "--precision");
        assertBadInput(CommandRunner.run("eval", "--case", file, "--check", "--path", "dense"), "--path");
        assertBadInput(
                CommandRunner.run("eval", "--case", file, "--check", "--precision", "f32", "--backend", "gpu"),
                "backend: expected one of cpu, reference, found \"gpu\"");
        assertBadInput(
                CommandRunner.run("eval", "--case", file, "--check", "--threads", "0"), "threads: expected at least 1");
        assertBadInput(
                CommandRunner.run("eval", "--case", file, "--check", "--backend", "cpu"),
                "--backend: expected reference");
    }

    @Test
    void nothingIsLeftWhereOutputCannotBeWritten() throws IOException {
        Path missing = temporary.resolve("missing/out.safetensors");

        assertBadInput(
                CommandRunner.run("eval", "--case", ORACLE.resolve("olmoe/one_token.safetensors"), "--out", missing),
                "missing");
        assertThat(files(temporary)).isEmpty();
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> walk = Files.walk(folder)) {
            return walk.filter(Files::isRegularFile).map(folder::relativize).toList();
        }
    }

    private static void assertBadInput(CommandRunner.Result result, String... parts) {
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.err()).startsWith("dropless: ").contains(parts);
    }
}
