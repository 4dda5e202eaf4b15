package dev.dropless.cli.pictures;

import java.awt.Color;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Draws as SVG. */
final class VectorCanvas implements Canvas {

    private final StringBuilder svg = new StringBuilder();

    VectorCanvas(int width, int height) {
        append(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\""
                        + " font-family=\"sans-serif\">\n",
                width, height, width, height);
        fill(0, 0, width, height, Color.WHITE);
    }

    private void append(String format, Object... arguments) {
        svg.append(String.format(Locale.ROOT, format, arguments));
    }

    private static String hex(Color color) {
        return String.format(Locale.ROOT, "#%06x", color.getRGB() & 0xffffff);
    }

    @Override
    public void fill(double x, double y, double width, double height, Color color) {
        append(
                "<rect x=\"%.3f\" y=\"%.3f\" width=\"%.3f\" height=\"%.3f\" fill=\"%s\"/>\n",
                x, y, width, height, hex(color));
    }

    @Override
    public void line(double x1, double y1, double x2, double y2, Color color) {
        append(
                "<line x1=\"%.3f\" y1=\"%.3f\" x2=\"%.3f\" y2=\"%.3f\" stroke=\"%s\" stroke-width=\"0.75\"/>\n",
                x1, y1, x2, y2, hex(color));
    }

    @Override
    public void text(double x, double y, Anchor anchor, int size, String text) {
        append(
                "<text x=\"%.3f\" y=\"%.3f\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n",
                x, y, size, anchor.name().toLowerCase(Locale.ROOT), escape(text));
    }

    @Override
    public void verticalText(double x, double y, int size, String text) {
        append(
                "<text transform=\"translate(%.3f %.3f) rotate(-90)\" font-size=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x, y, size, escape(text));
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }

    byte[] svg() {
        return (svg + "</svg>\n").getBytes(StandardCharsets.UTF_8);
    }
}
