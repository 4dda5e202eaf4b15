package dev.dropless.cli.gpu;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One row of measurements; see docs/gpu-check.md for what each key means. */
final class Measured {

    private final Map<String, @Nullable Object> values = new LinkedHashMap<>();
    private final double milliseconds;

    private Measured(String name, double milliseconds) {
        this.milliseconds = milliseconds;
        values.put("name", name);
    }

    /**
     * A time.
     *
     * @param name what ran
     * @param milliseconds of one run, the median
     */
    static Measured of(String name, double milliseconds) {
        Measured row = new Measured(name, milliseconds);
        row.values.put("milliseconds", milliseconds);
        return row;
    }

    /** A row that was not measured, and why. */
    static Measured skipped(String name, String reason) {
        Measured row = new Measured(name, 0);
        row.values.put("skipped", reason);
        return row;
    }

    /** Useful floating-point operations of one run, and their share of the dense ceilings where those are known. */
    Measured flops(double flops, Ceilings ceilings) {
        double rate = flops / milliseconds / 1e9;
        values.put("tflops", rate);
        share("of_burst", rate, ceilings.burst());
        share("of_sustained", rate, ceilings.sustained());
        return this;
    }

    /** Bytes moved by one run. */
    Measured bytes(double bytes) {
        values.put("gbps", bytes / milliseconds / 1e6);
        return this;
    }

    /** The least time that a run can take, where that is known. */
    Measured floor(double least) {
        if (least > 0) {
            values.put("floor_milliseconds", least);
            values.put("of_floor", least / milliseconds);
        }
        return this;
    }

    /** The share of the speed of cuBLAS, which took so long on the same product. */
    Measured cublas(double time) {
        values.put("of_cublas", time / milliseconds);
        return this;
    }

    /** A published figure, if there is one. */
    Measured anchor(@Nullable Anchor anchor) {
        if (anchor != null) {
            Map<String, @Nullable Object> published = new LinkedHashMap<>();
            published.put(anchor.ofCublas() ? "of_cublas" : "tflops", anchor.value());
            published.put("source", anchor.source());
            values.put("anchor", published);
            share("of_anchor", number(anchor.ofCublas() ? "of_cublas" : "tflops"), anchor.value());
        }
        return this;
    }

    private void share(String key, double value, double whole) {
        if (whole > 0 && value > 0) {
            values.put(key, value / whole);
        }
    }

    private double number(String key) {
        return values.get(key) instanceof Number number ? number.doubleValue() : 0;
    }

    Map<String, @Nullable Object> values() {
        return values;
    }

    /** A row as people read it: what, how long, and its shares of ceiling, floor and anchor. */
    static String line(Map<?, ?> row) {
        StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "  %-46s", row.get("name")));
        if (row.get("skipped") != null) {
            return line.append(" skipped: ").append(row.get("skipped")).toString();
        }
        append(line, row, "milliseconds", " %9.3f ms");
        append(line, row, "tflops", " %6.0f TFLOP/s");
        append(line, row, "gbps", " %6.0f GB/s");
        append(line, row, "of_burst", "  burst %.3f");
        append(line, row, "of_sustained", "  sustained %.3f");
        append(line, row, "of_floor", "  floor %.3f");
        append(line, row, "of_cublas", "  cuBLAS %.3f");
        append(line, row, "of_anchor", "  anchor %.3f");
        return line.toString();
    }

    private static void append(StringBuilder line, Map<?, ?> row, String key, String format) {
        if (row.get(key) instanceof Number number) {
            line.append(String.format(Locale.ROOT, format, number.doubleValue()));
        }
    }
}
