package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.testdata.TestData;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Statistics and pictures of a case and of a text. */
class RoutingCommandTest {

    private static final Path ORACLE = TestData.path("oracle");

    @TempDir
    private Path temporary;

    @Test
    void aCaseGivesItsLoads() throws IOException {
        Path file = ORACLE.resolve("deepseek_v3/groups_64x8_bf16.safetensors");
        Path out = temporary.resolve("deep/er");
        var result = CommandRunner.run("routing", "--case", file, "--out", out);
        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        List<Long> expected;
        try (SafetensorsFile stored = SafetensorsFile.open(file)) {
            expected = Arrays.stream(stored.tensor("case.tokens_per_expert")
                            .data()
                            .toArray(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN)))
                    .boxed()
                    .toList();
        }
        assertThat(result.out()).contains("load per expert            " + expected, "unknown, no token ids");
        var json = Json.readObject(out.resolve("statistics.json"));
        assertThat(json.list("load").toString()).isEqualTo(expected.toString());
        assertThat(json.list("co_activation")).hasSize(64 * 64);
        assertThat(json.has("specialisation_by_token_id")).isFalse();
        assertThat(pictures(out))
                .containsExactly(
                        "co-activation.png",
                        "cumulative-load.png",
                        "drops.png",
                        "entropy.png",
                        "load-variation.png",
                        "load.png");
    }

    @Test
    void aTextHasTokenIds() throws IOException {
        Path text = Files.writeString(temporary.resolve("text.txt"), "one two three one two one, and one. ".repeat(9));
        Path out = temporary.resolve("out");
        var result = CommandRunner.run(
                "routing",
                "--text",
                text,
                "--out",
                out,
                "--experts",
                "6",
                "--topk",
                "2",
                "--hidden",
                "16",
                "--capacity-factors",
                "1.0");
        assertThat(result.err()).isEmpty();
        assertThat(result.status()).isZero();
        assertThat(result.out()).contains("90 tokens, E = 6, k = 2", "explained by the token id", "factor 1.0:");
        assertThat(pictures(out)).hasSize(7).contains("specialisation.png");
        var json = Json.readObject(out.resolve("statistics.json"));
        assertThat(json.object("specialisation_by_token_id").values()).hasSize(6);
        assertThat(json.object("dropped_by_position_at_capacity_factor").list("1.0"))
                .hasSize(90);
    }

    private static List<String> pictures(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> pngs = files.filter(file -> file.toString().endsWith(".png"))
                    .sorted()
                    .toList();
            for (Path png : pngs) {
                assertThat(ImageIO.read(png.toFile()).getWidth()).isGreaterThan(500);
            }
            return pngs.stream().map(png -> png.getFileName().toString()).toList();
        }
    }

    @Test
    void badInputIsOneLine() throws IOException {
        Path out = temporary.resolve("out");
        Path empty = Files.writeString(temporary.resolve("empty.txt"), "  ");
        Path binary = Files.write(temporary.resolve("binary.txt"), new byte[] {(byte) 0xc3, 0x28});
        Path topology = ORACLE.resolve("topology/random.safetensors");
        assertRefused("expected a text with words", "--text", empty, "--out", out);
        assertRefused("expected a text in UTF-8", "--text", binary, "--out", out);
        assertRefused("expected \"moe_block\", found \"topology\"", "--case", topology, "--out", out);
        assertRefused(
                "--topk: expected at most --experts = 2, found 3",
                "--text",
                binary,
                "--out",
                out,
                "--topk",
                "3",
                "--experts",
                "2");
        assertRefused(
                "--capacity-factors: expected numbers above 0",
                "--text",
                binary,
                "--out",
                out,
                "--capacity-factors",
                "0");
        assertRefused("--out", "--text", empty);
        assertThat(out).doesNotExist();
    }

    private static void assertRefused(String message, Object... arguments) {
        Object[] all =
                Stream.concat(Stream.of("routing"), Arrays.stream(arguments)).toArray();
        var result = CommandRunner.run(all);
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.err().lines()).singleElement().asString().contains(message);
    }
}
