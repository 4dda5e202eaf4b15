package dev.dropless.cli.demo;

import dev.dropless.cli.comparison.ComparisonTables;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.comparison.LayerShape;
import dev.dropless.cli.comparison.Table;
import dev.dropless.cli.comparison.Timing;
import dev.dropless.moe.padded.DropReport;
import java.util.Arrays;
import java.util.Locale;

/** The demonstration's results as tables and sentences. */
public final class DemoTables {

    private static final int QUARTERS = 4;

    private final DemoResults results;

    /**
     * Wraps results.
     *
     * @param results what to show
     */
    public DemoTables(DemoResults results) {
        this.results = results;
    }

    /**
     * All tables, one after the other, for a terminal.
     *
     * @return lines of text
     */
    public String text() {
        return String.join(
                        "\n",
                        setting() + "\n",
                        correctness().toString(),
                        load() + "\n",
                        drops().toString(),
                        times().toString())
                + "\n" + verdict() + "\n\n";
    }

    /**
     * Says what was computed.
     *
     * @return two lines
     */
    public String setting() {
        LayerShape shape = results.options().shape();
        return format(
                "%s: %,d tokens, %,d different, as one sequence.%nLayer: E = %d experts, k = %d, H = %d, F = %d, gated (OLMoE's proportions), fp32, on %s.",
                results.options().text().getFileName(),
                results.words().ids().length,
                results.words().vocabulary().size(),
                shape.numExperts(),
                shape.topK(),
                shape.hiddenSize(),
                shape.ffnHiddenSize(),
                results.backend());
    }

    /**
     * The correctness table.
     *
     * @return what was compared, error, limit, verdict
     */
    public Table correctness() {
        return ComparisonTables.agreements(results.agreements());
    }

    /**
     * Describes the load.
     *
     * @return lines with the loads and their spread
     */
    public String load() {
        int[] loads = results.topology().tokensPerExpert();
        double mean = Arrays.stream(loads).average().orElse(0);
        int max = results.topology().maxTokensPerExpert();
        return format(
                "Tokens per expert: %s%nmean %.1f, busiest %d (%.2f times the mean), idlest %d, coefficient of variation %.2f",
                Arrays.toString(loads),
                mean,
                max,
                mean == 0 ? 0 : max / mean,
                Arrays.stream(loads).min().orElse(0),
                results.statistics().loadVariation());
    }

    /**
     * What capacities drop, and where in the sequence.
     *
     * @return a row for each padded contender
     */
    public Table drops() {
        Table table = new Table(
                "capacity",
                "rows per expert",
                "dropped",
                "1st quarter",
                "2nd quarter",
                "3rd quarter",
                "4th quarter",
                "padding");
        for (Contender contender :
                results.contenders().subList(1, results.contenders().size())) {
            DropReport report = contender.report();
            double[] quarters = new double[QUARTERS];
            Arrays.setAll(quarters, q -> quarter(report.droppedByPosition(), q));
            table.row(
                    contender.name(),
                    format("%,d", report.capacity()),
                    format(
                            "%,d (%s)",
                            report.droppedSlots().length, ComparisonTables.percent(report.droppedFraction())),
                    ComparisonTables.percent(quarters[0]),
                    ComparisonTables.percent(quarters[1]),
                    ComparisonTables.percent(quarters[2]),
                    ComparisonTables.percent(quarters[3]),
                    ComparisonTables.percent(report.paddingWaste()));
        }
        return table;
    }

    private static double quarter(double[] byPosition, int quarter) {
        int from = byPosition.length * quarter / QUARTERS;
        int to = byPosition.length * (quarter + 1) / QUARTERS;
        return Arrays.stream(byPosition, from, to).average().orElse(0);
    }

    /**
     * Times and rates.
     *
     * @return a row for each contender
     */
    public Table times() {
        return ComparisonTables.times(results.contenders(), results.timings());
    }

    /**
     * Compares the two ways that drop nothing, and says what else than padding differs.
     *
     * @return two sentences
     */
    public String verdict() {
        double dropless = Timing.median(results.timings().get(0).both()) / 1e6;
        double padded = Timing.median(results.timings().get(1).both()) / 1e6;
        return format(
                "Without dropping a token, forward and backward take %.1f ms dropless and %.1f ms padded (medians of %d): %.2f times as long. The padded products also pack their weights each time: factor 1.00, with about as many rows as dropless, shows how much that is.",
                dropless, padded, results.options().runs(), padded / dropless);
    }

    private static String format(String format, Object... arguments) {
        return String.format(Locale.ROOT, format, arguments);
    }
}
