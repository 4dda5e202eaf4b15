package dev.dropless.cli.pictures;

import java.awt.Color;

/** What a picture is drawn on. Coordinates are pixels from the upper left corner. */
interface Canvas {

    /** Where a text lies relative to its point. */
    enum Anchor {
        START,
        MIDDLE,
        END
    }

    void fill(double x, double y, double width, double height, Color color);

    void line(double x1, double y1, double x2, double y2, Color color);

    void text(double x, double y, Anchor anchor, int size, String text);

    /** Text that reads upwards, its middle at the point. */
    void verticalText(double x, double y, int size, String text);
}
