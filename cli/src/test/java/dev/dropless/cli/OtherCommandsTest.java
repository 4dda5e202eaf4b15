package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.testdata.TestData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OtherCommandsTest {

    private static final Path OLMOE = TestData.path("oracle/olmoe/random.safetensors");

    @TempDir
    private Path temporary;

    @Test
    void infoNamesJdkAndBackEnds() {
        var result = CommandRunner.run("info", "--no-measure");

        assertThat(result.status()).isZero();
        assertThat(result.out())
                .contains("JDK", "reference (priority 0): available", "cpu (priority", "chosen     cpu");
    }

    @Test
    void runComputesOneLayerOfACheckpoint() throws IOException {
        Path output = temporary.resolve("y.safetensors");

        var result = CommandRunner.run(
                "run",
                "--checkpoint",
                OLMOE,
                "--input",
                OLMOE,
                "--tensor",
                "case.input",
                "--output",
                output,
                "--precision",
                "f64",
                "--output-tensor",
                "y");

        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        try (SafetensorsFile stored = SafetensorsFile.open(OLMOE);
                SafetensorsFile computed = SafetensorsFile.open(output)) {
            assertThat(computed.tensor("y").shape())
                    .isEqualTo(stored.tensor("case.output").shape());
            double[] y = doubles(computed, "y");
            double[] expected = doubles(stored, "case.output");
            for (int i = 0; i < y.length; i++) {
                assertThat(y[i]).isCloseTo(expected[i], offset(1e-13));
            }
        }
    }

    private static double[] doubles(SafetensorsFile file, String name) throws IOException {
        return file.tensor(name).data().toArray(ElementType.DOUBLE);
    }

    @Test
    void runRefusesWhatDoesNotFit() throws IOException {
        Path output = temporary.resolve("y.safetensors");
        Path config = temporary.resolve("config.json");
        Files.writeString(config, Files.readString(writeConfig()).replace("\"num_experts\": 6", "\"num_experts\": 8"));

        assertBadInput(
                CommandRunner.run("run", "--checkpoint", OLMOE, "--input", OLMOE, "--output", output),
                "--tensor: expected a name");
        assertBadInput(
                CommandRunner.run(
                        "run", "--checkpoint", OLMOE, "--family", "gpt5", "--input", OLMOE, "--output", output),
                "found \"gpt5\"");
        assertBadInput(
                CommandRunner.run(
                        "run",
                        "--checkpoint",
                        OLMOE,
                        "--layer",
                        "model.layers.3",
                        "--input",
                        OLMOE,
                        "--tensor",
                        "case.input",
                        "--output",
                        output),
                "tensor model.layers.3.mlp.gate.weight: expected shape [6, 24], found no such tensor");
        assertBadInput(
                CommandRunner.run(
                        "run",
                        "--checkpoint",
                        OLMOE,
                        "--config",
                        config,
                        "--input",
                        OLMOE,
                        "--tensor",
                        "case.input",
                        "--output",
                        output),
                "tensor mlp.experts.6.");
        assertThat(output).doesNotExist();
    }

    private Path writeConfig() throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(OLMOE)) {
            return Files.writeString(
                    temporary.resolve("original.json"), file.metadata().get("config"));
        }
    }

    @Test
    void topologyPrintsAndDraws() throws IOException {
        Path png = temporary.resolve("t.png");
        Path svg = temporary.resolve("t.svg");

        var result = CommandRunner.run(
                "topology",
                "--tokens",
                5,
                "--experts",
                3,
                "--topk",
                2,
                "--routing",
                "one-hot",
                "--ffn",
                4,
                "--block",
                "2",
                "--arrays",
                "--png",
                png,
                "--svg",
                svg);

        assertThat(result.status()).isZero();
        assertThat(result.out())
                .contains(
                        "tokens per expert  [5, 5, 0]",
                        "10 rows, padded 12",
                        "column_indices     [0, 1, 0, 1, 0, 1, 2, 3");
        assertThat(ImageIO.read(png.toFile()).getWidth()).isGreaterThan(500);
        assertThat(Files.readString(svg))
                .startsWith("<svg")
                .contains("hidden units")
                .endsWith("</svg>\n");
    }

    @ParameterizedTest
    @ValueSource(strings = {"uniform", "zipf", "one-hot", "holes"})
    void compareAgreesForEveryRouting(String routing) {
        var result = CommandRunner.run(
                "compare",
                "--tokens",
                33,
                "--hidden",
                16,
                "--ffn",
                12,
                "--experts",
                5,
                "--topk",
                2,
                "--routing",
                routing,
                "--runs",
                1);

        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        assertThat(result.out()).contains("dropless = padded without drop: expert gradients", "padded, factor 1.25");
    }

    @Test
    void impossibleSizesAreBadInput() {
        assertBadInput(
                CommandRunner.run("compare", "--experts", 4, "--topk", 5), "topk: expected at most the 4 experts");
        assertBadInput(CommandRunner.run("compare", "--tokens", 0), "expected at least 1");
        assertBadInput(
                CommandRunner.run("topology", "--routing", "even"), "expected one of uniform, zipf, one-hot, holes");
        assertBadInput(CommandRunner.run("topology", "--png", temporary.resolve("no/t.png")), "existing folder");
    }

    @Test
    void demoWritesEverything() throws IOException {
        Path out = temporary.resolve("demo");

        var result = CommandRunner.run(
                "demo",
                "--out",
                out,
                "--tokens",
                300,
                "--hidden",
                16,
                "--ffn",
                8,
                "--experts",
                16,
                "--topk",
                4,
                "--runs",
                1);

        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        assertThat(result.out())
                .contains(
                        "300 tokens",
                        "SDD and DSD = float64 reference",
                        "4th quarter",
                        "useful GFLOP/s",
                        "All results agree.");
        try (Stream<Path> files = Files.list(out)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("topology.png", "load.png", "drops.png", "report.html");
        }
        String report = Files.readString(out.resolve("report.html"));
        assertThat(report)
                .contains("data:image/png;base64,", "All results agree")
                .doesNotContain("src=\"http", "FAIL");
        assertThat(ImageIO.read(out.resolve("drops.png").toFile())).isNotNull();
    }

    @Test
    void demoRefusesABadTextAndLeavesNothing() throws IOException {
        Path text = Files.writeString(temporary.resolve("short.txt"), "Call me Ishmael.");
        Path out = temporary.resolve("demo");

        assertBadInput(
                CommandRunner.run("demo", "--text", text, "--out", out),
                "short.txt: expected at least 48 words, found 4");
        assertBadInput(CommandRunner.run("demo", "--text", temporary.resolve("none.txt"), "--out", out), "none.txt");
        assertThat(out).doesNotExist();
    }

    @Test
    void aStackTraceNeedsVerbose() {
        assertThat(CommandRunner.run("compare", "--topk", 99).err()).doesNotContain("\tat ");
        assertThat(CommandRunner.run("-v", "compare", "--topk", 99).err()).contains("\tat ");
    }

    private static void assertBadInput(CommandRunner.Result result, String... parts) {
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.err()).startsWith("dropless: ").contains(parts);
    }
}
