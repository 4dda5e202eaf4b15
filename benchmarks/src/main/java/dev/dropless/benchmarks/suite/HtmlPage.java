package dev.dropless.benchmarks.suite;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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
            <p>%s<br>Measured in the same run: %.0f GFLOP/s single-precision peak, %.1f GB/s read.</p>
            <p class="note">Median and fastest sample of JMH. Useful GFLOP/s count no padding; done GFLOP/s count what was
            computed. CPU ms: median processor time of the one thread that computes. GB/s: bytes that any algorithm must move. "dropless is": how many times as fast as this arm. Every
            arm's result was compared with double precision before it was timed; "error" is the largest one found,
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
                report.peak().gflops(),
                report.peak().readGigabytes()));
        for (Map.Entry<Cell, Map<String, Row>> entry : report.cells().entrySet()) {
            html.append("<h2>").append(escape(entry.getKey().title())).append("</h2>\n");
            html.append("<p><img alt=\"chart\" src=\"data:image/png;base64,")
                    .append(Base64.getEncoder().encodeToString(chart(entry.getKey(), entry.getValue(), report.peak())))
                    .append("\"></p>\n");
            table(entry.getValue(), report.peak(), html);
        }
        if (!report.missing().isEmpty()) {
            html.append("<h2>Not measured</h2>\n<ul>\n");
            report.missing()
                    .forEach(line -> html.append("<li>").append(escape(line)).append("</li>\n"));
            html.append("</ul>\n");
        }
        return html.append("</body></html>\n").toString();
    }

    private static void table(Map<String, Row> arms, Row.Peak peak, StringBuilder html) {
        html.append("<table>\n<tr>");
        Report.COLUMNS.forEach(name -> html.append("<th>").append(escape(name)).append("</th>"));
        html.append("</tr>\n");
        for (Row row : arms.values()) {
            html.append("<tr title=\"").append(escape(row.description())).append("\">");
            Report.columns(row, peak, arms)
                    .forEach(value -> html.append("<td>").append(escape(value)).append("</td>"));
            html.append("</tr>\n");
        }
        html.append("</table>\n<ul class=\"note\">\n");
        arms.values()
                .forEach(row -> html.append("<li>")
                        .append(escape(row.arm() + ": " + row.description()))
                        .append("</li>\n"));
        html.append("</ul>\n");
    }

    /** Useful GFLOP/s of each arm; microseconds where there is no arithmetic. */
    private static byte[] chart(Cell cell, Map<String, Row> arms, Row.Peak peak) throws IOException {
        boolean arithmetic = cell.task().usefulFlops() > 0;
        CategoryChart chart = new CategoryChartBuilder()
                .width(1000)
                .height(420)
                .title(cell.title())
                .yAxisTitle(
                        arithmetic
                                ? String.format(Locale.ROOT, "useful GFLOP/s (peak %.0f)", peak.gflops())
                                : "microseconds")
                .build();
        List<String> names = new ArrayList<>(arms.keySet());
        List<Double> values = new ArrayList<>();
        arms.values().forEach(row -> values.add(arithmetic ? row.usefulGflops() : row.medianSeconds() * 1e6));
        chart.addSeries(arithmetic ? "useful GFLOP/s" : "median", names, values);
        chart.getStyler().setLegendVisible(false);
        chart.getStyler().setXAxisLabelRotation(30);
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
