package dev.dropless.benchmarks.suite;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a run found out.
 *
 * @param title one line
 * @param machine processor, system, JDK
 * @param peak measured in the same run
 * @param rows one for each arm and task
 * @param missing arms that were not measured, with the cause
 */
public record Report(String title, String machine, Row.Peak peak, List<Row> rows, List<String> missing) {

    /** Copies the lists. */
    public Report {
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
        Path file = Path.of("/proc/cpuinfo");
        String cpu = "unknown processor";
        if (Files.isReadable(file)) {
            cpu = Files.readAllLines(file).stream()
                    .filter(line -> line.startsWith("model name"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse(cpu);
        }
        return "%s, %d processors, %s %s, JDK %s"
                .formatted(
                        cpu,
                        Runtime.getRuntime().availableProcessors(),
                        System.getProperty("os.name"),
                        System.getProperty("os.arch"),
                        Runtime.version());
    }

    /**
     * Groups the rows.
     *
     * @return rows of each cell by arm, in the order of measuring
     */
    public Map<Cell, Map<String, Row>> cells() {
        Map<Cell, Map<String, Row>> cells = new LinkedHashMap<>();
        for (Row row : rows) {
            cells.computeIfAbsent(row.cell(), cell -> new LinkedHashMap<>()).put(row.arm(), row);
        }
        return cells;
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
            for (Map<String, Row> arms : cells().values()) {
                for (Row row : arms.values()) {
                    Map<String, Object> values = row.values(peak, arms);
                    values.put("machine", machine);
                    write(json, values);
                }
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

    /** Columns of the tables. */
    static final List<String> COLUMNS = List.of(
            "arm",
            "median ms",
            "min ms",
            "useful GFLOP/s",
            "of f32 peak",
            "done GFLOP/s",
            "GB/s",
            "CPU ms",
            "dropless is",
            "error");

    /** The same in the same order, as text. */
    static List<String> columns(Row row, Row.Peak peak, Map<String, Row> others) {
        Row own = others.get("dropless");
        double flops = row.cell().task().usefulFlops();
        return List.of(
                row.arm(),
                format("%.4g", row.medianSeconds() * 1e3),
                format("%.4g", row.minSeconds() * 1e3),
                flops == 0 ? "-" : format("%.1f", row.usefulGflops()),
                flops == 0 ? "-" : format("%.0f %%", 100 * row.usefulGflops() / peak.gflops()),
                flops == 0 ? "-" : format("%.1f", row.computedGflops()),
                format("%.1f", row.bytesPerSecond() / 1e9),
                row.cpuSeconds() == 0 ? "-" : format("%.4g", row.cpuSeconds() * 1e3),
                own == null ? "-" : format("%.2fx", row.medianSeconds() / own.medianSeconds()),
                format("%.1e", row.maxRelativeError()));
    }

    private static String format(String pattern, double value) {
        return String.format(Locale.ROOT, pattern, value);
    }

    /**
     * Writes tables for a terminal.
     *
     * @return lines
     */
    public String text() {
        StringWriter out = new StringWriter();
        out.write("%n%s%n%s%n".formatted(title, machine));
        out.write(String.format(
                Locale.ROOT,
                "peak of this run: %.0f GFLOP/s single precision, %s, %.1f GB/s read%n",
                peak.gflops(),
                peak.bf16Gflops() > 0
                        ? format("%.0f GFLOP/s in dot products of bfloat16 pairs", peak.bf16Gflops())
                        : "no dot products of bfloat16 pairs",
                peak.readGigabytes()));
        cells().forEach((cell, arms) -> {
            List<List<String>> lines = new ArrayList<>(List.of(COLUMNS));
            arms.values().forEach(row -> lines.add(columns(row, peak, arms)));
            out.write("%n%s%n".formatted(cell.title()));
            for (List<String> line : lines) {
                StringBuilder text = new StringBuilder();
                for (int c = 0; c < line.size(); c++) {
                    int column = c;
                    int width = lines.stream()
                            .mapToInt(l -> l.get(column).length())
                            .max()
                            .orElse(0);
                    text.append(
                            c == 0
                                    ? "  %%-%ds".formatted(width).formatted(line.get(c))
                                    : "  %%%ds".formatted(width).formatted(line.get(c)));
                }
                out.write(text + System.lineSeparator());
            }
        });
        missing.forEach(line -> out.write("not measured: " + line + System.lineSeparator()));
        return out.toString();
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
