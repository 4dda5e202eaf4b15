package dev.dropless.cli.demo;

import dev.dropless.cli.comparison.Table;
import dev.dropless.cli.machine.Machine;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** The demonstration as one HTML page that needs no other file. */
public final class DemoReport {

    private static final String STYLE = """
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #111827; }
            h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; }
            table { border-collapse: collapse; margin: 1em 0; }
            th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #d1d5db; white-space: pre; font-variant-numeric: tabular-nums; }
            th:first-child, td:first-child { text-align: left; }
            td.ok { color: #15803d; } td.fail { color: #b91c1c; font-weight: bold; }
            img { max-width: 100%; } pre { white-space: pre-wrap; background: #f3f4f6; padding: .8em; }
            figure { margin: 1.5em 0; } figcaption { color: #4b5563; }
            """;

    private DemoReport() {}

    /**
     * Writes the page.
     *
     * @param results what was found
     * @param pictures PNG files by name
     * @param machine where
     * @param command how
     * @return HTML
     */
    public static String html(DemoResults results, Map<String, byte[]> pictures, Machine machine, String command) {
        DemoTables tables = new DemoTables(results);
        String verdict = results.passed()
                ? "All results agree within their limits."
                : "A result is beyond its limit: see the table.";
        return String.join(
                "\n",
                "<!DOCTYPE html>",
                "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Dropless demo</title>",
                "<style>",
                STYLE + "</style></head><body>",
                "<h1>A mixture-of-experts layer without dropped tokens</h1>",
                paragraph(tables.setting()),
                paragraph(verdict + " " + tables.verdict()),
                "<h2>Correctness</h2>",
                paragraph(
                        "Errors are relative, in the 2-norm over a whole tensor, forward outputs and all gradients. The padded layer has as many"
                                + " rows per expert as the busiest expert needs. The float64 reference is a plain loop per operation. The stored"
                                + " results were computed by the model's own PyTorch code."),
                table(tables.correctness()),
                "<h2>What the router did</h2>",
                "<pre>" + escape(tables.load()) + "</pre>",
                figure(
                        picture(pictures, DemoPictures.TOPOLOGY),
                        "Each expert is one dense block, as high as it has tokens: this is all that is computed. White and grey is never touched."),
                figure(
                        picture(pictures, DemoPictures.LOAD),
                        "Whatever is above a capacity's line is dropped by a padded layer; the room between bar and line is padding that it computes."),
                "<h2>What a capacity drops</h2>",
                paragraph("Earlier tokens are served first, so the end of the sequence loses most."),
                table(tables.drops()),
                figure(
                        picture(pictures, DemoPictures.DROPS),
                        "The share of dropped (token, choice) pairs, along the text."),
                "<h2>Time</h2>",
                paragraph(
                        "Useful operations are those of rows that hold a token: 2 H (2 F + F) forward and twice that backward. Contenders took"
                                + " turns, " + results.options().runs()
                                + " measured rounds after one warm-up, on the same back end and"
                                + " threads. The padded layer is the back end's dense product for every expert, which packs the expert's weights"
                                + " each time, with gather and scatter on the host; the dropless layer keeps its weights packed. The row of factor"
                                + " 1.00, which computes about as many rows as dropless, shows how much of the difference is that; the rest is"
                                + " padding."),
                table(tables.times()),
                "<h2>How to repeat</h2>",
                "<pre>" + escape(command) + "</pre>",
                paragraph(machine.oneLine() + ". Features: " + machine.featureList() + "."),
                "</body></html>",
                "");
    }

    private static byte[] picture(Map<String, byte[]> pictures, String name) {
        byte[] png = pictures.get(name);
        if (png == null) {
            throw new IllegalArgumentException("pictures: expected %s, found %s".formatted(name, pictures.keySet()));
        }
        return png;
    }

    private static String paragraph(String text) {
        return "<p>" + escape(text) + "</p>";
    }

    private static String figure(byte[] png, String caption) {
        return "<figure><img alt=\"%s\" src=\"data:image/png;base64,%s\"><figcaption>%s</figcaption></figure>"
                .formatted(escape(caption), Base64.getEncoder().encodeToString(png), escape(caption));
    }

    private static String table(Table table) {
        StringBuilder html = new StringBuilder("<table>\n");
        List<List<String>> rows = table.rows();
        for (int r = 0; r < rows.size(); r++) {
            html.append("<tr>");
            for (String cell : rows.get(r)) {
                html.append(
                                r == 0
                                        ? "<th>"
                                        : cell.equals("ok")
                                                ? "<td class=\"ok\">"
                                                : cell.equals("FAIL") ? "<td class=\"fail\">" : "<td>")
                        .append(escape(cell))
                        .append(r == 0 ? "</th>" : "</td>");
            }
            html.append("</tr>\n");
        }
        return html.append("</table>").toString();
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
