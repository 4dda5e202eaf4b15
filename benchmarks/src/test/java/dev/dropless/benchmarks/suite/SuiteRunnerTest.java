package dev.dropless.benchmarks.suite;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openjdk.jmh.runner.RunnerException;

/** The suites run through JMH in this JVM on tiny sizes: what is reported, not how fast. */
class SuiteRunnerTest {

    private static final Effort GLANCE = new Effort(0, 0, 1, 1, 1);

    private static final List<String> SCHEMA = List.of(
            "suite",
            "shape",
            "tokens",
            "routing",
            "pass",
            "arm",
            "dtype",
            "threads",
            "median_s",
            "min_s",
            "useful_gflops",
            "peak_fraction");

    private static SuiteRunner runner(String... arguments) {
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8);
        return new SuiteRunner(SuiteOptions.parse(arguments), nowhere, GLANCE);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "suite=layer shape=tiny tokens=5 routing=zipf pass=forward+backward arm=dropless,padded-max",
                "suite=peers shape=tiny tokens=5 arm=dropless,loop",
                "suite=decode shape=tiny tokens=1 arm=dropless,padded-cf1.25",
                "suite=kernels shape=gemm-5x6x7 arm=dropless,dropless-scalar",
                "suite=kernels shape=tiny tokens=5 arm=dropless-scalar,blocks-8",
                "suite=operations shape=tiny tokens=5 arm=dropless dtype=f32,bf16,int8 pass=up,combine",
                "suite=operations shape=tiny tokens=5 arm=dropless,dropless-vector pass=downDgrad,forward+backward",
                "suite=topology shape=tiny tokens=5 arm=dropless,sort routing=uniform,holes"
            })
    void everyRowHasTheSchema(String arguments) throws IOException, RunnerException {
        SuiteRunner runner = runner(arguments.split(" "));
        Report report = runner.run();
        assertThat(runner.failed()).isFalse();
        assertThat(report.missing()).isEmpty();
        List<Map<String, Object>> rows = parse(report.json());
        assertThat(rows).hasSameSizeAs(report.rows()).isNotEmpty();
        for (Map<String, Object> row : rows) {
            assertThat(row.keySet().stream().limit(SCHEMA.size())).containsExactlyElementsOf(SCHEMA);
            assertThat((double) row.get("min_s")).isPositive().isLessThanOrEqualTo((double) row.get("median_s"));
            assertThat(row.get("description").toString()).isNotBlank();
            assertThat(row.get("machine").toString()).contains("JDK");
        }
        assertThat(report.text())
                .contains("peak of this run")
                .contains(report.rows().getFirst().arm());
        assertThat(new String(report.html(), StandardCharsets.UTF_8))
                .contains("data:image/png;base64,iVBORw0KGgo")
                .doesNotContain("://");
    }

    @Test
    void speedupsAreRatiosOfMediansOfTheSameTask() throws IOException, RunnerException {
        Report report = runner(
                        "suite=layer", "shape=tiny", "tokens=3", "routing=uniform", "pass=forward", "arm=dropless,loop")
                .run();
        Row dropless = report.rows().get(0);
        Row loop = report.rows().get(1);
        Map<?, ?> speedup = (Map<?, ?>) parse(report.json()).getFirst().get("speedup_over");
        assertThat(speedup.get("loop")).isEqualTo(loop.medianSeconds() / dropless.medianSeconds());
        assertThat(speedup).hasSize(1);
    }

    /** Both numbers of threads in one run, each beside its own peak, the second one compared with the first. */
    @Test
    void threadsAreComparedWithOneThread() throws IOException, RunnerException {
        Report report = runner("suite=operations", "shape=tiny", "tokens=9", "pass=down", "arm=dropless", "threads=1,2")
                .run();
        Row one = report.rows().get(0);
        Row two = report.rows().get(1);
        assertThat(report.peaks()).containsOnlyKeys(1, 2);
        List<Map<String, Object>> rows = parse(report.json());
        assertThat(rows.get(1).get("speedup_over_one_thread")).isEqualTo(one.medianSeconds() / two.medianSeconds());
        assertThat(rows.get(1).get("peak_over_one_thread"))
                .isEqualTo(
                        report.peaks().get(2).gflops() / report.peaks().get(1).gflops());
        assertThat(rows.get(1).get("f32_peak_gflops"))
                .isEqualTo(report.peaks().get(2).gflops());
        assertThat(report.text()).contains("x 1 thread").contains("2 threads").doesNotContain("dropless is");
        assertThat(one.allocatedBytes()).isNotNegative();
    }

    /** Tables name what differs in columns, and what does not in their title. */
    @Test
    void tablesLeaveOutWhatIsTheSameForAll() throws IOException, RunnerException {
        Report report = runner("suite=operations", "shape=tiny", "tokens=4", "pass=up,down", "arm=dropless")
                .run();
        assertThat(Table.of(report)).singleElement().satisfies(table -> {
            assertThat(table.title()).isEqualTo("tiny, T = 4, uniform routing, f32, 1 thread");
            assertThat(table.names()).startsWith("arm", "pass", "median ms").doesNotContain("dtype", "dropless is");
            assertThat(table.lines()).hasSize(2);
            assertThat(table.label(1)).isEqualTo("dropless down");
        });
    }

    @Test
    void whatWouldNotBeDoneInTimeIsNotBegun() throws IOException, RunnerException {
        SuiteRunner runner = runner(
                "suite=topology", "shape=tiny", "tokens=5", "routing=uniform,zipf", "arm=dropless,sort", "limit=1");
        Report report = runner.run();
        assertThat(report.rows()).isEmpty();
        assertThat(report.missing())
                .singleElement()
                .asString()
                .contains("4 for want of time within 1 s", "dropless (topology-e6-k2, T = 5, uniform routing");
        assertThat(runner.failed()).isFalse();
        assertThat(parse(report.json())).isEmpty();
    }

    @Test
    void quickRunsHaveALimitAndPaddingCountsInTheEstimate() {
        assertThat(SuiteOptions.parse("suite=peers", "quick=true").limitSeconds())
                .isEqualTo(SuiteOptions.QUICK_SECONDS);
        assertThat(SuiteOptions.parse("suite=peers").limitSeconds()).isZero();
        Cell cell = Cells.of(SuiteOptions.parse("suite=layer", "shape=olmoe-1b-7b", "tokens=2048", "routing=one-hot"))
                .getFirst();
        Row.Peak peak = new Row.Peak(100, 10, 0, 0);
        double once = Estimate.seconds(cell, "loop", Effort.QUICK, peak);
        assertThat(Estimate.seconds(cell, "padded-max", Effort.QUICK, peak)).isGreaterThan(4 * once);
        assertThat(Estimate.seconds(cell, "loop", Effort.FULL, peak)).isGreaterThan(2 * once);
    }

    @Test
    void anArmThatIsWrongIsAFailureAndOneThatIsAbsentIsNot() throws IOException, RunnerException {
        SuiteRunner runner = runner("suite=kernels", "shape=gemm-2x3x4", "arm=absent,wrong,dropless-scalar");
        Report report = runner.run();
        assertThat(report.rows()).extracting(Row::arm).containsExactly("dropless-scalar");
        assertThat(report.missing())
                .satisfiesExactly(
                        line -> assertThat(line).contains("absent", "it was never there"),
                        line -> assertThat(line).contains("FAILED wrong", "y[0]: expected 1, found 2"));
        assertThat(runner.failed()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "suite=gpu",
                "shape=tiny",
                "suite=layer colour=red",
                "suite=layer tokens=0",
                "suite=layer tokens=many",
                "suite=layer threads=1,0",
                "suite=layer limit=-1",
                "suite=decode shape=tiny pass=forward+backward",
                "suite=operations shape=tiny pass=sideways",
                "suite=operations shape=tiny dtype=int8 pass=upWgrad",
                "suite=kernels shape=tiny dtype=bf16",
                "suite=kernels shape=tiny pass=gemm",
                "suite=layer shape=none",
                "suite=layer shape=tiny tokens=2 routing=straight",
                "suite=layer shape=tiny pass=backward",
                "suite=layer shape=tiny dtype=f64",
                "suite=layer shape=tiny arm=none",
                "suite=kernels shape=gemm-2x3"
            })
    void badArgumentsNameWhatIsExpected(String arguments) {
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> runner(arguments.split(" ")).run())
                .withMessageContaining("expected");
    }

    /** Every suite's own cells can be listed, with names of arms that exist. */
    @ParameterizedTest
    @ValueSource(strings = {"kernels", "operations", "layer", "peers", "topology", "decode"})
    void everySuiteHasCells(String suite) {
        assertThat(Cells.of(SuiteOptions.parse("suite=" + suite))).allSatisfy(cell -> {
            assertThat(cell.arms()).contains("dropless");
            assertThat(cell.heapMegabytes()).isBetween(1000, 12_000);
        });
    }

    private static List<Map<String, Object>> parse(byte[] json) throws IOException {
        List<Map<String, Object>> rows = new ArrayList<>();
        try (JsonParser parser = new JsonFactory().createParser(json)) {
            assertThat(parser.nextToken()).isEqualTo(JsonToken.START_ARRAY);
            while (parser.nextToken() == JsonToken.START_OBJECT) {
                rows.add(object(parser));
            }
        }
        return rows;
    }

    private static Map<String, Object> object(JsonParser parser) throws IOException {
        Map<String, Object> values = new LinkedHashMap<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            switch (parser.nextToken()) {
                case START_OBJECT -> values.put(name, object(parser));
                case VALUE_STRING -> values.put(name, parser.getText());
                default -> values.put(name, parser.getDoubleValue());
            }
        }
        return values;
    }
}
