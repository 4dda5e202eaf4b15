package dev.dropless.cli.pictures;

import dev.dropless.cli.pictures.Canvas.Anchor;
import java.awt.Color;
import java.util.List;
import java.util.Locale;

/**
 * A matrix as colours, white for 0 and dark blue for the largest value, with every row and as many columns as fit named at their middle. It is drawn cell by
 * cell because the charts' heat maps name cells at their edges.
 *
 * @param title above the picture
 * @param xTitle of the columns
 * @param yTitle of the rows
 * @param columns names of the columns
 * @param rows names of the rows, from the top
 * @param values value of each row and column, 0 or more
 */
@SuppressWarnings("ArrayRecordComponent") // a plain carrier, never compared
public record HeatMap(
        String title, String xTitle, String yTitle, List<String> columns, List<String> rows, double[][] values) {

    private static final int WIDTH = 900;
    private static final int HEIGHT = 900;
    private static final int LEFT = 120;
    private static final int TOP = 60;
    private static final int RIGHT = 30;
    private static final int BOTTOM = 120;
    private static final int LABEL = 12;
    private static final int LEGEND_STEPS = 50;
    private static final Color DARKEST = new Color(0x0b3c6f);

    /**
     * Draws as PNG.
     *
     * @return the file
     */
    public byte[] png() {
        try (RasterCanvas canvas = new RasterCanvas(WIDTH, HEIGHT)) {
            canvas.text(LEFT, 32, Anchor.START, 17, title);
            double largest = largest();
            cells(canvas, largest);
            names(canvas);
            legend(canvas, largest);
            return canvas.png();
        }
    }

    private double largest() {
        double largest = 0;
        for (double[] row : values) {
            for (double value : row) {
                largest = Math.max(largest, value);
            }
        }
        return largest;
    }

    private double cellWidth() {
        return (double) (WIDTH - LEFT - RIGHT) / columns.size();
    }

    private double cellHeight() {
        return (double) (HEIGHT - TOP - BOTTOM) / rows.size();
    }

    private void cells(Canvas canvas, double largest) {
        for (int row = 0; row < rows.size(); row++) {
            for (int column = 0; column < columns.size(); column++) {
                double share = largest == 0 ? 0 : values[row][column] / largest;
                double x = LEFT + column * cellWidth();
                canvas.fill(x, TOP + row * cellHeight(), cellWidth(), cellHeight(), shade(share));
            }
        }
        Color frame = new Color(0x4b5563);
        canvas.line(LEFT, TOP, WIDTH - RIGHT, TOP, frame);
        canvas.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, frame);
        canvas.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, frame);
        canvas.line(WIDTH - RIGHT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM, frame);
    }

    private void names(Canvas canvas) {
        int every = Math.max(1, (int) Math.ceil(1.5 * LABEL / cellHeight()));
        for (int row = 0; row < rows.size(); row += every) {
            double y = TOP + (row + 0.5) * cellHeight() + 0.35 * LABEL;
            canvas.text(LEFT - 6, y, Anchor.END, LABEL, rows.get(row));
        }
        every = Math.max(1, (int) Math.ceil(2.5 * LABEL / cellWidth()));
        for (int column = 0; column < columns.size(); column += every) {
            double x = LEFT + (column + 0.5) * cellWidth();
            canvas.text(x, HEIGHT - BOTTOM + 18, Anchor.MIDDLE, LABEL, columns.get(column));
        }
        canvas.text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - BOTTOM + 42, Anchor.MIDDLE, 14, xTitle);
        canvas.verticalText(24, (TOP + HEIGHT - BOTTOM) / 2.0, 14, yTitle);
    }

    private void legend(Canvas canvas, double largest) {
        double y = HEIGHT - 50;
        double step = 5;
        for (int i = 0; i < LEGEND_STEPS; i++) {
            canvas.fill(LEFT + i * step, y, step, 14, shade(i / (LEGEND_STEPS - 1.0)));
        }
        canvas.text(LEFT, y + 30, Anchor.START, LABEL, "0");
        String end = String.format(Locale.ROOT, "%.2f", largest);
        canvas.text(LEFT + LEGEND_STEPS * step, y + 30, Anchor.END, LABEL, end);
    }

    private static Color shade(double share) {
        return new Color(mix(DARKEST.getRed(), share), mix(DARKEST.getGreen(), share), mix(DARKEST.getBlue(), share));
    }

    private static int mix(int dark, double share) {
        return (int) Math.round(255 + (dark - 255) * share);
    }
}
