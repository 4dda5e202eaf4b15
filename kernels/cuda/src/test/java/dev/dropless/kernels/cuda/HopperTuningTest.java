package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.dropless.kernels.cuda.HopperTuning.Choice;
import dev.dropless.kernels.cuda.HopperTuning.Operation;
import dev.dropless.kernels.cuda.HopperTuning.Variant;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How launches of the Hopper kernels are chosen, and what the file of choices may say. */
class HopperTuningTest {

    private static final String LINE = "=variant:tile cluster:1 group:8\n";

    /** One line for every operation. */
    static final String LEAST =
            Stream.of(Operation.values()).map(o -> o.key() + ".0" + LINE).collect(Collectors.joining());

    /** Tiles in clusters of two, few steps at a time, whatever the rows. */
    static final HopperTuning PAIRS = read(LEAST.replace("cluster:1 group:8", "cluster:2 group:2"));

    static HopperTuning read(String text) {
        try {
            return HopperTuning.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1)));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void theLineWithTheLargestStartThatIsNotAboveTheRowsPerExpertHolds() {
        HopperTuning tuning =
                read(LEAST + "up.9=variant:decode64 cluster:1 group:1\nup.256=variant:tile cluster:2 group:4");
        Choice first = new Choice(Variant.TILE, 1, 8);
        Choice second = new Choice(Variant.DECODE64, 1, 1);
        assertThat(tuning.choose(Operation.UP, 0, 5)).isEqualTo(first);
        assertThat(tuning.choose(Operation.UP, 40, 5)).isEqualTo(first);
        assertThat(tuning.choose(Operation.UP, 41, 5)).isEqualTo(second);
        assertThat(tuning.choose(Operation.UP, 255 * 5, 5)).isEqualTo(second);
        assertThat(tuning.choose(Operation.UP, 255 * 5 + 1, 5)).isEqualTo(new Choice(Variant.TILE, 2, 4));
        assertThat(tuning.choose(Operation.UP, 9, 0)).isEqualTo(second);
        assertThat(tuning.choose(Operation.DOWN, 1 << 20, 1)).isEqualTo(first);
    }

    @Test
    void theCarriedFileDecodesFewRowsAndPairsTilesOfMany() {
        HopperTuning tuning = HopperTuning.load();
        assertThat(tuning.choose(Operation.UP, 8, 8).variant()).isEqualTo(Variant.DECODE16);
        for (Operation operation : Operation.values()) {
            assertThat(tuning.choose(operation, 8192, 8))
                    .extracting(Choice::variant, Choice::cluster)
                    .containsExactly(Variant.TILE, 2);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "up | expected OPERATION.ROWS",
                "left.0=variant:tile cluster:1 group:1 | expected one of [up, down",
                "up.x=variant:tile cluster:1 group:1 | expected a number, found \"x\"",
                "up.-1=variant:tile cluster:1 group:1 | expected a number 0..2147483647, found \"-1\"",
                "up.3=variant:tile cluster:1 | expected variant, cluster and group",
                "up.3=variant:tile cluster:1 group:1 group:1 | expected NAME:VALUE once for each name",
                "up.3=variant:short cluster:1 group:1 | found \"SHORT\"",
                "up.3=variant:wide cluster:1 group:1 | found \"wide\"",
                "up.3=variant:tile cluster:3 group:1 | expected a number 1..2, found \"3\"",
                "up.3=variant:decode16 cluster:2 group:1 | expected a number 1..1, found \"2\"",
                "up.3=variant:tile cluster:1 group:0 | found \"0\"",
            })
    void aLineThatIsNotUnderstoodIsNamed(String line, String message) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> read(LEAST + line))
                .withMessageContaining(message);
    }

    @Test
    void everyOperationHasALineForNoRows() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> read(LEAST.replace("blocks.0", "blocks.1")))
                .withMessageContaining("expected a line blocks.0");
    }

    @Test
    void linesOfOneOperationAreReplacedAndWrittenDown() {
        HopperTuning tuning =
                read(LEAST + "up.9=variant:decode64 cluster:1 group:1\nup.256=variant:tile cluster:2 group:4");
        HopperTuning measured =
                tuning.with(Operation.UP, new TreeMap<>(Map.of(100L, "variant:tile cluster:2 group:16")), false);
        assertThat(measured.choose(Operation.UP, 50, 1)).isEqualTo(new Choice(Variant.DECODE64, 1, 1));
        assertThat(measured.choose(Operation.UP, 5000, 1)).isEqualTo(new Choice(Variant.TILE, 2, 16));
        assertThat(tuning.choose(Operation.UP, 5000, 1)).isEqualTo(new Choice(Variant.TILE, 2, 4));
        assertThat(measured.file()).contains("measured=yes\n", "up.100=variant:tile cluster:2 group:16\n");
        assertThat(read(measured.file()).file()).isEqualTo(measured.file());
        assertThatIllegalArgumentException()
                .isThrownBy(() ->
                        tuning.with(Operation.UP, new TreeMap<>(Map.of(100L, "variant:tile cluster:2 group:16")), true))
                .withMessageContaining("expected a line up.0");
    }

    @Test
    void everyCandidateIsALineOfTheFile() {
        HopperTuning carried = HopperTuning.load();
        for (Operation operation : Operation.values()) {
            assertThat(HopperLaunchTuning.candidatesOf(operation))
                    .hasSizeGreaterThanOrEqualTo(8)
                    .allSatisfy(line -> carried.with(operation, new TreeMap<>(Map.of(0L, line)), true));
        }
    }

    @Test
    void aFileThatCannotBeReadIsNamed() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> HopperTuning.load("no/such/file"))
                .withMessage("dropless.cuda.tuning: expected a file that can be read, found no/such/file");
    }
}
