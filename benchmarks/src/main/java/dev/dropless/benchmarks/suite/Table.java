package dev.dropless.benchmarks.suite;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Rows of one shape, number of tokens and routing, as text. What all of them have in common is in the title, and columns
 * without a value are left out.
 *
 * @param title one line
 * @param names of the columns
 * @param lines of values
 * @param rows what the lines are about
 */
record Table(String title, List<String> names, List<List<String>> lines, List<Row> rows) {

    private static final String NONE = "-";

    /** A column that tells rows apart, and how it reads in a title. */
    private record Key(String name, Function<Row, String> value, Function<Row, String> title) {}

    private static final List<Key> KEYS = List.of(
            new Key(
                    "pass",
                    row -> row.cell().task().pass(),
                    row -> row.cell().task().pass()),
            new Key(
                    "dtype",
                    row -> row.cell().task().dtype(),
                    row -> row.cell().task().dtype()),
            new Key(
                    "threads",
                    row -> Integer.toString(row.cell().task().threads()),
                    row -> row.cell().threads()));

    /** The tables of a report, in the order of measuring. */
    static List<Table> of(Report report) {
        Map<String, List<Row>> groups = new LinkedHashMap<>();
        report.rows()
                .forEach(row -> groups.computeIfAbsent(row.cell().common(), _ -> new ArrayList<>())
                        .add(row));
        List<Table> tables = new ArrayList<>();
        groups.forEach((common, rows) -> tables.add(of(report, common, rows)));
        return tables;
    }

    private static Table of(Report report, String common, List<Row> rows) {
        StringBuilder title = new StringBuilder(common);
        List<Key> varying = new ArrayList<>();
        for (Key key : KEYS) {
            if (rows.stream().map(key.value()).distinct().count() > 1) {
                varying.add(key);
            } else {
                title.append(", ").append(key.title().apply(rows.getFirst()));
            }
        }
        List<List<String>> columns = new ArrayList<>();
        List<String> names = new ArrayList<>();
        column("arm", rows, Row::arm, names, columns);
        varying.forEach(key -> column(key.name(), rows, key.value(), names, columns));
        numbers(report, rows, names, columns);
        List<List<String>> lines = IntStream.range(0, rows.size())
                .mapToObj(i -> columns.stream().map(column -> column.get(i)).toList())
                .toList();
        return new Table(title.toString(), List.copyOf(names), lines, List.copyOf(rows));
    }

    private static void numbers(Report report, List<Row> rows, List<String> names, List<List<String>> columns) {
        column("median ms", rows, row -> format("%.4g", row.medianSeconds() * 1e3), names, columns);
        column("min ms", rows, row -> format("%.4g", row.minSeconds() * 1e3), names, columns);
        column("useful GFLOP/s", rows, row -> flops(row, format("%.1f", row.usefulGflops())), names, columns);
        column(
                "of f32 peak",
                rows,
                row -> flops(row, percent(row.usefulGflops() / report.peak(row).gflops())),
                names,
                columns);
        column("done GFLOP/s", rows, row -> flops(row, format("%.1f", row.computedGflops())), names, columns);
        column("GB/s", rows, row -> format("%.1f", row.bytesPerSecond() / 1e9), names, columns);
        column(
                "of read",
                rows,
                row -> percent(row.bytesPerSecond() / 1e9 / report.peak(row).readGigabytes()),
                names,
                columns);
        column(
                "CPU ms",
                rows,
                row -> row.cpuSeconds() == 0 ? NONE : format("%.4g", row.cpuSeconds() * 1e3),
                names,
                columns);
        column(
                "B/run",
                rows,
                row -> row.allocatedBytes() < 0 ? NONE : Long.toString(row.allocatedBytes()),
                names,
                columns);
        column("dropless is", rows, row -> ratio(report.dropless(row), row, false), names, columns);
        column("x 1 thread", rows, row -> ratio(report.single(row), row, true), names, columns);
        column("error", rows, row -> format("%.1e", row.maxRelativeError()), names, columns);
    }

    private static void column(
            String name, List<Row> rows, Function<Row, String> value, List<String> names, List<List<String>> columns) {
        List<String> values = rows.stream().map(value).toList();
        if (!values.stream().allMatch(NONE::equals)) {
            names.add(name);
            columns.add(values);
        }
    }

    private static String flops(Row row, String text) {
        return row.cell().task().usefulFlops() == 0 ? NONE : text;
    }

    private static String percent(double fraction) {
        return format("%.0f %%", 100 * fraction);
    }

    /** Time of a row over that of the other one, or its inverse; nothing where a row would be compared with itself. */
    private static String ratio(Optional<Row> other, Row row, boolean inverse) {
        return other.filter(found -> found != row)
                .map(found -> row.medianSeconds() / found.medianSeconds())
                .map(ratio -> format("%.2fx", inverse ? 1 / ratio : ratio))
                .orElse(NONE);
    }

    private static String format(String pattern, double value) {
        return String.format(Locale.ROOT, pattern, value);
    }

    /** Name of a line in a chart: what tells it apart. */
    String label(int line) {
        int keys = names.indexOf("median ms");
        return String.join(" ", lines.get(line).subList(0, keys));
    }

    /** Lines for a terminal; the first column to the left, numbers to the right. */
    String text() {
        StringBuilder text = new StringBuilder("%n%s%n".formatted(title));
        List<List<String>> all = new ArrayList<>(List.of(names));
        all.addAll(lines);
        for (List<String> line : all) {
            for (int c = 0; c < line.size(); c++) {
                int column = c;
                int width = all.stream()
                        .mapToInt(other -> other.get(column).length())
                        .max()
                        .orElse(1);
                text.append(("  %" + (c == 0 ? "-" : "") + width + "s").formatted(line.get(c)));
            }
            text.append(System.lineSeparator());
        }
        return text.toString();
    }
}
