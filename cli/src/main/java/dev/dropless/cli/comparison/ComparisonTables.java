package dev.dropless.cli.comparison;

import java.util.List;
import java.util.Locale;

/** Results of a comparison as tables. */
public final class ComparisonTables {

    private ComparisonTables() {}

    /**
     * The correctness table.
     *
     * @param agreements its rows
     * @return what was compared, error, limit, verdict
     */
    public static Table agreements(List<Agreement> agreements) {
        Table table = new Table("correctness", "error", "limit", "");
        for (Agreement row : agreements) {
            table.row(
                    row.what(), format("%.1e", row.error()), format("%.0e", row.limit()), row.passed() ? "ok" : "FAIL");
        }
        return table;
    }

    /**
     * Dropped tokens, padding, forward and backward times, and the useful rate of both together: best and median of the runs.
     *
     * @param contenders rows
     * @param timings of the contenders, in order
     * @return the table
     */
    public static Table times(List<Contender> contenders, List<Timing> timings) {
        Table table = new Table(
                "forward + backward",
                "dropped",
                "padding",
                "forward ms (min, median)",
                "backward ms (min, median)",
                "useful GFLOP/s (best, median)");
        for (int i = 0; i < contenders.size(); i++) {
            Contender contender = contenders.get(i);
            Timing timing = timings.get(i);
            table.row(
                    contender.name(),
                    percent(contender.report().droppedFraction()),
                    percent(contender.report().paddingWaste()),
                    range(timing.forward()),
                    range(timing.backward()),
                    format(
                            "%6.1f %6.1f",
                            contender.usefulGflops(timing.both()[0]),
                            contender.usefulGflops(Timing.median(timing.both()))));
        }
        return table;
    }

    private static String range(long[] nanos) {
        return format("%8.1f %8.1f", nanos[0] / 1e6, Timing.median(nanos) / 1e6);
    }

    /**
     * Writes a share.
     *
     * @param fraction 0 to 1
     * @return per cent with one decimal
     */
    public static String percent(double fraction) {
        return format("%.1f %%", 100 * fraction);
    }

    private static String format(String format, Object... arguments) {
        return String.format(Locale.ROOT, format, arguments);
    }
}
