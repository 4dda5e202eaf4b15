package dev.dropless.cli.pictures;

import dev.dropless.cli.pictures.Canvas.Anchor;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.awt.Color;
import java.util.Locale;

/**
 * The block-diagonal matrix of a topology, to scale: rows are assigned slots sorted by expert, columns the experts' hidden units. Where blocks are large
 * enough to see, their borders are drawn.
 */
public final class TopologyPicture {

    private static final int WIDTH = 900;
    private static final int HEIGHT = 860;
    private static final int LEFT = 90;
    private static final int TOP = 80;
    private static final int RIGHT = 30;
    private static final int BOTTOM = 70;
    private static final double SMALLEST_VISIBLE_BLOCK = 4;
    private static final Color EMPTY = new Color(0xf3f4f6);
    private static final Color EVEN = new Color(0x1f6fb2);
    private static final Color ODD = new Color(0xe07b1f);
    private static final Color BORDER = new Color(0xffffff);
    private static final Color FRAME = new Color(0x4b5563);

    private final Topology topology;
    private final MoeBlockPattern pattern;
    private final String title;

    /**
     * Prepares the picture.
     *
     * @param topology the topology
     * @param pattern its blocks, without padding
     * @param title what the topology is of
     */
    public TopologyPicture(Topology topology, MoeBlockPattern pattern, String title) {
        this.topology = topology;
        this.pattern = pattern;
        this.title = title;
    }

    /**
     * Draws as PNG.
     *
     * @return the file
     */
    public byte[] png() {
        try (RasterCanvas canvas = new RasterCanvas(WIDTH, HEIGHT)) {
            draw(canvas);
            return canvas.png();
        }
    }

    /**
     * Draws as SVG.
     *
     * @return the file
     */
    public byte[] svg() {
        VectorCanvas canvas = new VectorCanvas(WIDTH, HEIGHT);
        draw(canvas);
        return canvas.svg();
    }

    private double x(long column) {
        return LEFT + (double) column / Math.max(1, pattern.columns()) * (WIDTH - LEFT - RIGHT);
    }

    private double y(long row) {
        return TOP + (double) row / Math.max(1, pattern.rows()) * (HEIGHT - TOP - BOTTOM);
    }

    private void draw(Canvas canvas) {
        canvas.text(LEFT, 30, Anchor.START, 17, title);
        double stored = (double) pattern.rows() * pattern.columns();
        canvas.text(
                LEFT,
                52,
                Anchor.START,
                12,
                String.format(
                        Locale.ROOT,
                        "%,d rows x %,d columns (%d experts x F = %d), %,d blocks of up to %d x %d, %.2f %% of the elements stored",
                        pattern.rows(),
                        pattern.columns(),
                        pattern.numExperts(),
                        pattern.ffnHiddenSize(),
                        pattern.blocks(),
                        pattern.blockSize(),
                        pattern.blockSize(),
                        stored == 0 ? 0 : 100.0 * pattern.elements() / stored));
        canvas.fill(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, EMPTY);
        for (int e = 0; e < pattern.numExperts(); e++) {
            expert(canvas, e);
        }
        blockBorders(canvas);
        frame(canvas);
        columnTicks(canvas);
        rowTicks(canvas);
    }

    private void expert(Canvas canvas, int e) {
        long width = pattern.ffnHiddenSize();
        double x = x(e * width);
        double y = y(topology.offset(e));
        canvas.fill(x, y, x((e + 1) * width) - x, y(topology.offset(e + 1)) - y, e % 2 == 0 ? EVEN : ODD);
    }

    private void blockBorders(Canvas canvas) {
        int size = pattern.blockSize();
        if (pattern.rows() == 0 || x(size) - x(0) < SMALLEST_VISIBLE_BLOCK || y(size) - y(0) < SMALLEST_VISIBLE_BLOCK) {
            return;
        }
        for (int block = 0; block < pattern.blocks(); block++) {
            int row = pattern.rowOf(block);
            int column = pattern.columnOf(block);
            double left = x(pattern.columnOffset(column));
            double right = x(pattern.columnOffset(column + 1));
            double top = y(pattern.rowOffset(row));
            double bottom = y(pattern.rowOffset(row + 1));
            canvas.line(right, top, right, bottom, BORDER);
            canvas.line(left, bottom, right, bottom, BORDER);
        }
    }

    private void frame(Canvas canvas) {
        double right = WIDTH - RIGHT;
        double bottom = HEIGHT - BOTTOM;
        canvas.line(LEFT, TOP, right, TOP, FRAME);
        canvas.line(LEFT, bottom, right, bottom, FRAME);
        canvas.line(LEFT, TOP, LEFT, bottom, FRAME);
        canvas.line(right, TOP, right, bottom, FRAME);
    }

    private void columnTicks(Canvas canvas) {
        int experts = pattern.numExperts();
        int step = Math.max(1, Math.ceilDiv(experts, 16));
        for (int e = 0; e < experts; e += step) {
            double middle = (x((long) e * pattern.ffnHiddenSize()) + x((e + 1L) * pattern.ffnHiddenSize())) / 2;
            canvas.line(middle, HEIGHT - BOTTOM, middle, HEIGHT - BOTTOM + 5, FRAME);
            canvas.text(middle, HEIGHT - BOTTOM + 19, Anchor.MIDDLE, 12, Integer.toString(e));
        }
        canvas.text(
                (LEFT + WIDTH - RIGHT) / 2.0,
                HEIGHT - BOTTOM + 44,
                Anchor.MIDDLE,
                13,
                "columns: hidden units, by expert number");
    }

    private void rowTicks(Canvas canvas) {
        long rows = pattern.rows();
        long step = niceStep(rows);
        for (long row = 0; row <= rows; row += step) {
            canvas.line(LEFT - 5, y(row), LEFT, y(row), FRAME);
            canvas.text(LEFT - 9, y(row) + 4, Anchor.END, 12, String.format(Locale.ROOT, "%,d", row));
        }
        canvas.verticalText(24, (TOP + HEIGHT - BOTTOM) / 2.0, 13, "rows: (token, choice) pairs, sorted by expert");
    }

    /** 1, 2 or 5 times a power of ten, for at most about ten ticks. */
    private static long niceStep(long range) {
        long power = 1;
        while (range / power > 10) {
            for (int factor : new int[] {2, 5, 10}) {
                if (range / (power * factor) <= 10) {
                    return power * factor;
                }
            }
            power *= 10;
        }
        return power;
    }
}
