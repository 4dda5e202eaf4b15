package dev.dropless.benchmarks.suite;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;

/** A report as one HTML file without anything to load: tables, and a bar chart of each task as a PNG data URI. */
final class HtmlPage {

    private static final String HEAD = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>%s</title><style>
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #1f2933 }
            table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
            td:first-child, th:first-child { text-align: left } tr:nth-child(even) { background: #f2f5f8 }
            th { border-bottom: 2px solid #9aa5b1 } img { max-width: 100%% } .note { color: #52606d }
            </style></head><body>
            <h1>%s</h1>
            <p>%s<br>%s</p>
            <p class="note">Median and fastest sample of JMH. Useful GFLOP/s count no padding; done GFLOP/s count what was
            computed. CPU ms: median processor time of the one thread that computes. GB/s: bytes that any algorithm must move; "of
            read": as a part of what the same threads read from memory. B/run: allocated on the Java heap. "dropless is": how many
            times as fast as this arm. "x 1 thread": how many times as fast as the same with one thread. Every arm's result was compared with double precision before it was timed; "error" is the largest one found,
            relative to the largest magnitude.</p>
            """;

    private HtmlPage() {}

    static String of(Report report) throws IOException {
        StringBuilder html = new StringBuilder();
        String title = escape(report.title());
        html.append(String.format(
                Locale.ROOT,
                HEAD,
                title,
                title,
                escape(report.machine()),
                escape(String.join("; ", report.peakLines()))));
        for (Table table : Table.of(report)) {
            html.append("<h2>").append(escape(table.title())).append("</h2>\n");
            html.append("<p><img alt=\"chart\" src=\"data:image/png;base64,")
                    .append(Base64.getEncoder().encodeToString(chart(table)))
                    .append("\"></p>\n");
            write(table, html);
        }
        if (!report.missing().isEmpty()) {
            html.append("<h2>Not measured</h2>\n<ul>\n");
            report.missing()
                    .forEach(line -> html.append("<li>").append(escape(line)).append("</li>\n"));
            html.append("</ul>\n");
        }
        return html.append("</body></html>\n").toString();
    }

    private static void write(Table table, StringBuilder html) {
        html.append("<table>\n<tr>");
        table.names().forEach(name -> html.append("<th>").append(escape(name)).append("</th>"));
        html.append("</tr>\n");
        Set<String> notes = new LinkedHashSet<>();
        for (int i = 0; i < table.lines().size(); i++) {
            Row row = table.rows().get(i);
            notes.add(row.arm() + ": " + row.description());
            html.append("<tr title=\"").append(escape(row.description())).append("\">");
            table.lines()
                    .get(i)
                    .forEach(value -> html.append("<td>").append(escape(value)).append("</td>"));
            html.append("</tr>\n");
        }
        html.append("</table>\n<ul class=\"note\">\n");
        notes.forEach(note -> html.append("<li>").append(escape(note)).append("</li>\n"));
        html.append("</ul>\n");
    }

    /** Useful GFLOP/s of each line; microseconds where there is no arithmetic. */
    private static byte[] chart(Table table) throws IOException {
        boolean arithmetic = table.rows().getFirst().cell().task().usefulFlops() > 0;
        CategoryChart chart = new CategoryChartBuilder()
                .width(Math.max(1000, 30 * table.lines().size()))
                .height(460)
                .title(table.title())
                .yAxisTitle(arithmetic ? "useful GFLOP/s" : "microseconds")
                .build();
        List<String> names = new ArrayList<>();
        List<Double> values = new ArrayList<>();
        for (int i = 0; i < table.lines().size(); i++) {
            Row row = table.rows().get(i);
            names.add(table.label(i));
            values.add(arithmetic ? row.usefulGflops() : row.medianSeconds() * 1e6);
        }
        chart.addSeries(arithmetic ? "useful GFLOP/s" : "median", names, values);
        chart.getStyler().setLegendVisible(false);
        chart.getStyler().setXAxisLabelRotation(table.lines().size() > 8 ? 90 : 30);
        chart.getStyler().setLabelsVisible(true).setAvailableSpaceFill(0.7);
        return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
