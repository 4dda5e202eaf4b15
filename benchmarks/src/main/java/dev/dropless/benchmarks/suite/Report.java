package dev.dropless.benchmarks.suite;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.dropless.benchmarks.OwnArms;
import dev.dropless.benchmarks.Task;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What a run found out.
 *
 * @param title one line
 * @param machine processor, system, JDK
 * @param peaks measured in the same run, by number of threads
 * @param rows one for each arm and task
 * @param missing arms that were not measured, with the cause
 */
public record Report(String title, String machine, Map<Integer, Row.Peak> peaks, List<Row> rows, List<String> missing) {

    /** Copies the lists. */
    public Report {
        peaks = Collections.unmodifiableMap(new TreeMap<>(peaks));
        rows = List.copyOf(rows);
        missing = List.copyOf(missing);
    }

    /**
     * Names the machine.
     *
     * @return processor, processors, system, JDK in one line
     * @throws IOException if the system's file of processors cannot be read
     */
    static String thisMachine() throws IOException {
        return "%s, %d processors, %s %s, JDK %s"
                .formatted(
                        cpu(),
                        Runtime.getRuntime().availableProcessors(),
                        System.getProperty("os.name"),
                        System.getProperty("os.arch"),
                        Runtime.version());
    }

    /** Name of the processor. */
    private static String cpu() throws IOException {
        Path file = Path.of("/proc/cpuinfo");
        String unknown = "unknown processor";
        if (!Files.isReadable(file)) {
            return unknown;
        }
        return Files.readAllLines(file).stream()
                .filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse(unknown);
    }

    /** The peak of as many threads as a row's. */
    Row.Peak peak(Row row) {
        return Objects.requireNonNull(peaks.get(row.cell().task().threads()), "peak");
    }

    /** Rows of the same task by arm, in the order of measuring. */
    private Map<String, Row> others(Row row) {
        Map<String, Row> others = new LinkedHashMap<>();
        rows.stream().filter(other -> other.cell().equals(row.cell())).forEach(other -> others.put(other.arm(), other));
        return others;
    }

    /** What users get, for the same task. */
    Optional<Row> dropless(Row row) {
        return Optional.ofNullable(others(row).get(OwnArms.DROPLESS));
    }

    /** The same arm and task with one thread. */
    Optional<Row> single(Row row) {
        Task task = row.cell().task();
        return rows.stream()
                .filter(other -> other.cell().task().threads() == 1
                        && other.arm().equals(row.arm())
                        && other.cell().common().equals(row.cell().common())
                        && other.cell().task().pass().equals(task.pass())
                        && other.cell().task().dtype().equals(task.dtype()))
                .findFirst();
    }

    /**
     * Writes the rows.
     *
     * @return a JSON array of objects
     * @throws IOException never
     */
    public byte[] json() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
            json.useDefaultPrettyPrinter();
            json.writeStartArray();
            for (Row row : rows) {
                Map<String, Object> values = row.values(
                        new Row.Context(peak(row), others(row), single(row).orElse(null), peaks.get(1)));
                values.put("cpu", cpu());
                values.put("machine", machine);
                write(json, values);
            }
            json.writeEndArray();
        }
        return bytes.toByteArray();
    }

    private static void write(JsonGenerator json, Map<?, ?> values) throws IOException {
        json.writeStartObject();
        for (Map.Entry<?, ?> entry : values.entrySet()) {
            json.writeFieldName(String.valueOf(entry.getKey()));
            switch (entry.getValue()) {
                case Map<?, ?> nested -> write(json, nested);
                case String text -> json.writeString(text);
                case Integer number -> json.writeNumber(number);
                case Long number -> json.writeNumber(number);
                case Double number when Double.isFinite(number) -> json.writeNumber(number);
                default ->
                    throw new IllegalStateException("%s: expected a finite number or text, found %s"
                            .formatted(entry.getKey(), entry.getValue()));
            }
        }
        json.writeEndObject();
    }

    /**
     * Writes tables for a terminal.
     *
     * @return lines
     */
    public String text() {
        StringBuilder text = new StringBuilder("%n%s%n%s%n".formatted(title, machine));
        peakLines().forEach(line -> text.append(line).append(System.lineSeparator()));
        Table.of(this).forEach(table -> text.append(table.text()));
        missing.forEach(line -> text.append("not measured: ").append(line).append(System.lineSeparator()));
        return text.toString();
    }

    /** One line for each number of threads. */
    List<String> peakLines() {
        return peaks.entrySet().stream()
                .map(entry -> {
                    Row.Peak peak = entry.getValue();
                    Row.Peak single = peaks.get(1);
                    return String.format(
                            Locale.ROOT,
                            "peak of this run, %s: %.0f GFLOP/s single precision, %.1f GB/s read%s%s%s",
                            entry.getKey() == 1 ? "1 thread" : entry.getKey() + " threads",
                            peak.gflops(),
                            peak.readGigabytes(),
                            narrow(peak.bf16Gflops(), "%.0f GFLOP/s in dot products of bfloat16 pairs"),
                            narrow(peak.int8Gops(), "%.0f Gop/s in dot products of four bytes"),
                            single == null || entry.getKey() == 1
                                    ? ""
                                    : String.format(
                                            Locale.ROOT,
                                            " (%.2f and %.2f times one thread)",
                                            peak.gflops() / single.gflops(),
                                            peak.readGigabytes() / single.readGigabytes()));
                })
                .toList();
    }

    private static String narrow(double rate, String pattern) {
        return rate == 0 ? "" : String.format(Locale.ROOT, ", " + pattern, rate);
    }

    /**
     * Writes the page.
     *
     * @return one self-contained HTML file
     * @throws IOException never
     */
    public byte[] html() throws IOException {
        return HtmlPage.of(this).getBytes(StandardCharsets.UTF_8);
    }
}
