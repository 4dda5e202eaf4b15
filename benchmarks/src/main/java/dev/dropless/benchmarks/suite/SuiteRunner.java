package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.Arm;
import dev.dropless.benchmarks.ArmProvider;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.runner.RunnerException;

/** Runs a suite and writes its report: what {@code ./dropless bench} starts in a JVM of its own. */
public final class SuiteRunner {

    /** System property: "true" for one line of progress before each arm, for the program that started this one. */
    public static final String PROGRESS = "dropless.bench.progress";

    /** Arms without time that a report names. */
    private static final int NAMED = 6;

    private final SuiteOptions options;
    private final PrintStream out;
    private final Effort effort;
    private final List<String> missing = new ArrayList<>();
    private boolean failed;

    /**
     * Creates a runner.
     *
     * @param options what to measure
     * @param out receives progress lines, and how long it may take
     * @param effort how long to measure
     */
    public SuiteRunner(SuiteOptions options, PrintStream out, Effort effort) {
        this.options = options;
        this.out = out;
        this.effort = effort;
    }

    /**
     * Runs a suite.
     *
     * @param arguments as {@link SuiteOptions#parse}
     * @throws IOException if a file cannot be written
     * @throws RunnerException if JMH fails
     */
    public static void main(String... arguments) throws IOException, RunnerException {
        // Another project's JMH may run on this machine: its lock is not about us.
        System.setProperty("jmh.ignoreLock", "true");
        try {
            SuiteOptions options = SuiteOptions.parse(arguments);
            SuiteRunner runner = new SuiteRunner(options, System.out, options.quick() ? Effort.QUICK : Effort.FULL);
            Report report = runner.run();
            System.out.print(report.text());
            if (options.json() != null) {
                write(options.json(), report.json());
            }
            if (options.html() != null) {
                write(options.html(), report.html());
            }
            System.exit(runner.failed ? 1 : 0);
        } catch (IllegalArgumentException e) {
            System.err.println("dropless: " + e.getMessage());
            System.exit(2);
        }
    }

    /** The file appears whole or not at all. */
    private static void write(Path target, byte[] content) throws IOException {
        Path absolute = target.toAbsolutePath();
        Path part = absolute.resolveSibling(".%s.%d.part"
                .formatted(absolute.getFileName(), ProcessHandle.current().pid()));
        try {
            Files.write(part, content);
            Files.move(part, absolute, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    /**
     * Measures every arm of every cell. An arm that cannot be had is listed in the report, and so is one whose result
     * is wrong.
     *
     * @return the report
     * @throws IOException if notes cannot be written
     * @throws RunnerException if JMH fails
     * @throws IllegalArgumentException if a name is unknown
     */
    public Report run() throws IOException, RunnerException {
        long start = System.nanoTime();
        List<Cell> cells = Cells.of(options);
        List<Row> rows = new ArrayList<>();
        try (Measurement measurement = new Measurement(effort)) {
            List<Planned> plan = plan(cells);
            int steps = plan.size() + 2;
            progress(0, steps, "peak");
            Map<Integer, Row.Peak> before = peaks(measurement);
            double peakSeconds = seconds(start);
            announce(plan, before, peakSeconds);
            List<Planned> late = new ArrayList<>();
            int step = 1;
            for (Planned next : plan) {
                progress(step++, steps, next.arm() + ": " + next.cell().title());
                double end = seconds(start) + estimate(next, before) + peakSeconds;
                if (options.limitSeconds() > 0 && end > options.limitSeconds()) {
                    late.add(next);
                    continue;
                }
                Row row = measure(measurement, next);
                if (row != null) {
                    rows.add(row);
                }
            }
            progress(step, steps, "peak");
            Map<Integer, Row.Peak> peaks = peaks(measurement);
            before.forEach((threads, peak) -> peaks.merge(threads, peak, Row.Peak::max));
            tellLate(late);
            String title = "Dropless benchmarks, suite %s%s"
                    .formatted(options.suite(), options.quick() ? " (quick: indicative only)" : "");
            return new Report(title, Report.thisMachine(), peaks, rows, missing);
        }
    }

    private static double seconds(long start) {
        return (System.nanoTime() - start) / 1e9;
    }

    private record Planned(Cell cell, String arm) {}

    /** All that can be had here; the others are listed with their causes. */
    private List<Planned> plan(List<Cell> cells) {
        List<Planned> plan = new ArrayList<>();
        for (Cell cell : cells) {
            for (String arm : cell.arms()) {
                String cause = ArmProvider.of(arm, cell.task()).unavailable(arm, cell.task());
                if (cause == null) {
                    plan.add(new Planned(cell, arm));
                } else {
                    missing.add("%s (%s): %s".formatted(arm, cell.task().pass(), cause));
                }
            }
        }
        return plan;
    }

    private Map<Integer, Row.Peak> peaks(Measurement measurement) throws RunnerException {
        Map<Integer, Row.Peak> peaks = new TreeMap<>();
        for (int threads : options.threads()) {
            peaks.put(threads, measurement.peak(threads, options.dtypes()));
        }
        return peaks;
    }

    private double estimate(Planned next, Map<Integer, Row.Peak> peaks) {
        Row.Peak peak = Objects.requireNonNull(peaks.get(next.cell().task().threads()), "peak");
        return Estimate.seconds(next.cell(), next.arm(), effort, peak);
    }

    private void announce(List<Planned> plan, Map<Integer, Row.Peak> peaks, double peakSeconds) {
        double sum = plan.stream().mapToDouble(next -> estimate(next, peaks)).sum();
        out.println(String.format(
                Locale.ROOT,
                "%d measurements: at most about %.0f s%s",
                plan.size(),
                sum + 2 * peakSeconds,
                options.limitSeconds() == 0
                        ? ""
                        : "; none begins that may not be done within %d s (--limit)"
                                .formatted(options.limitSeconds())));
    }

    private void tellLate(List<Planned> late) {
        if (!late.isEmpty()) {
            missing.add("%d for want of time within %d s (--limit): %s%s"
                    .formatted(
                            late.size(),
                            options.limitSeconds(),
                            late.stream()
                                    .limit(NAMED)
                                    .map(next -> next.arm() + " (" + next.cell().title() + ")")
                                    .collect(Collectors.joining("; ")),
                            late.size() > NAMED ? " ..." : ""));
        }
    }

    /** Whether an arm's result was wrong. */
    boolean failed() {
        return failed;
    }

    private @Nullable Row measure(Measurement measurement, Planned next) throws IOException, RunnerException {
        try {
            return measurement.measure(next.cell(), next.arm());
        } catch (Arm.CheckFailed e) {
            failed = true;
            missing.add("FAILED " + e.getMessage());
            return null;
        }
    }

    private void progress(int step, int steps, String what) {
        if (Boolean.getBoolean(PROGRESS)) {
            out.println(String.format(Locale.ROOT, "@progress %d %d %s", step, steps, what));
        }
    }
}
