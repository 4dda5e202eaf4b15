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
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every reference case of the supported kinds and families through the command, and its exit statuses. */
class EvalCommandTest {

    /** How many cases there are, so that none is left out silently. */
    private static final int ALL_FILES = 128;

    private static final int ALL_FOLDERS = 40;

    /** Families with an activation whose derivative jumps: in bfloat16, a rounded value may lie on the other side. */
    private static final Set<String> JUMPS = Set.of("deepseek_v4", "gpt_oss", "nllb_moe", "switch_transformers");

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
    })
    void allCasesAgreeWithTheStoredResults(String precision, String path, String backend) {
        var result = CommandRunner.run(
                "eval", "--cases", ORACLE, "--check", "--precision", precision, "--path", path, "--backend", backend);

        assertThat(result.err()).isEmpty();
        assertThat(result.out().lines().filter(line -> line.contains("FAIL"))).isEmpty();
        assertThat(evaluatedFolders(result.out())).hasSize(ALL_FOLDERS);
        assertThat(result.out()).endsWith("%d evaluated, 0 failed, 0 skipped%n".formatted(ALL_FILES));
        assertThat(result.status()).isZero();
    }

    private static Set<String> evaluatedFolders(String out) {
        return out.lines()
                .filter(line -> line.startsWith("ok ") || line.startsWith("FAIL "))
                .map(line -> line.strip().split("\\s+|/")[1])
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @ParameterizedTest
    @ValueSource(strings = {"cpu", "reference"})
    void inBfloat16OnlyGradientsThroughAJumpAreBeyondTheLimitAndExplained(String backend) {
        var result =
                CommandRunner.run("eval", "--cases", ORACLE, "--check", "--precision", "bf16", "--backend", backend);

        assertThat(result.err()).isEmpty();
        assertThat(evaluatedFolders(result.out())).hasSize(ALL_FOLDERS);
        assertThat(result.out()).endsWith("%d evaluated, 0 failed, 0 skipped%n".formatted(ALL_FILES));
        assertThat(result.status()).isZero();
        String folder = "";
        int explained = 0;
        for (String line : result.out().lines().toList()) {
            if (line.startsWith("ok ")) {
                folder = line.split("\\s+|/")[1];
            } else if (line.contains("from double precision with the same numbers")) {
                assertThat(JUMPS).contains(folder);
                assertThat(line).startsWith("  ok   case.grad").endsWith("agrees");
                explained++;
            }
        }
        assertThat(explained).isPositive();
    }

    @Test
    void outputsHaveTheNamesTypesAndShapesOfTheCase() throws IOException {
        Path out = temporary.resolve("out");
        Path cases = Files.createDirectories(temporary.resolve("cases/deeper/olmoe"));
        Files.copy(ORACLE.resolve("olmoe/random.safetensors"), cases.resolve("random.safetensors"));
        ofUnknownFamily(cases.resolve("other.safetensors"));

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

    private static void ofUnknownFamily(Path target) throws IOException {
        new SafetensorsWriter()
                .metadata("format", "moe-oracle-1")
                .metadata("kind", "moe_block")
                .metadata("family", "gpt5")
                .write(target);
    }

    @Test
    void anUnsupportedFamilyIsNamed() throws IOException {
        Path out = temporary.resolve("out.safetensors");
        Path other = temporary.resolve("other.safetensors");
        ofUnknownFamily(other);

        assertBadInput(
                CommandRunner.run("eval", "--case", other, "--out", out),
                "family: expected one of mixtral",
                "found \"gpt5\"");
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
                "backend: expected one of cuda, cpu, tornado, reference, cusparse, found \"gpu\"");
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
