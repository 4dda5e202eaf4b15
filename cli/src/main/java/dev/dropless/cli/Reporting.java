package dev.dropless.cli;

import dev.dropless.cli.comparison.Agreement;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.comparison.Timing;
import java.util.List;
import java.util.Locale;

/** Results of a comparison as tables. */
final class Reporting {

    private Reporting() {}

    static Tables agreements(List<Agreement> agreements) {
        Tables table = new Tables("correctness", "error", "limit", "");
        for (Agreement row : agreements) {
            table.row(
                    row.what(),
                    format("%.1e", row.error()),
                    format("%.0e", row.limit()),
                    row.passed() ? "ok" : "FAIL");
        }
        return table;
    }

    /** Forward and backward times, and the useful rate of both together: minimum and median of the runs. */
    static Tables times(List<Contender> contenders, List<Timing> timings) {
        Tables table = new Tables(
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

    static String percent(double fraction) {
        return format("%.1f %%", 100 * fraction);
    }

    static String format(String format, Object... arguments) {
        return String.format(Locale.ROOT, format, arguments);
    }
}
