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
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.runner.RunnerException;

/** Runs a suite and writes its report: what {@code ./dropless bench} starts in a JVM of its own. */
public final class SuiteRunner {

    /** System property: "true" for one line of progress before each arm, for the program that started this one. */
    public static final String PROGRESS = "dropless.bench.progress";

    private final SuiteOptions options;
    private final PrintStream out;
    private final Effort effort;
    private final List<String> missing = new ArrayList<>();
    private boolean failed;

    /**
     * Creates a runner.
     *
     * @param options what to measure
     * @param out receives progress lines
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
        List<Cell> cells = Cell.of(options);
        int steps = cells.stream().mapToInt(cell -> cell.arms().size()).sum() + 2;
        int step = 0;
        List<Row> rows = new ArrayList<>();
        try (Measurement measurement = new Measurement(effort)) {
            progress(step++, steps, "peak");
            Row.Peak before = measurement.peak(options.threads());
            for (Cell cell : cells) {
                for (String arm : cell.arms()) {
                    progress(step++, steps, arm + ": " + cell.title());
                    Row row = measure(measurement, cell, arm);
                    if (row != null) {
                        rows.add(row);
                    }
                }
            }
            progress(step, steps, "peak");
            Row.Peak after = measurement.peak(options.threads());
            Row.Peak peak = new Row.Peak(
                    Math.max(before.gflops(), after.gflops()),
                    Math.max(before.readGigabytes(), after.readGigabytes()),
                    Math.max(before.bf16Gflops(), after.bf16Gflops()));
            String title = "Dropless benchmarks, suite %s%s"
                    .formatted(options.suite(), options.quick() ? " (quick: indicative only)" : "");
            return new Report(title, Report.thisMachine(), peak, rows, missing);
        }
    }

    /** Whether an arm's result was wrong. */
    boolean failed() {
        return failed;
    }

    private @Nullable Row measure(Measurement measurement, Cell cell, String arm) throws IOException, RunnerException {
        String cause = ArmProvider.of(arm, cell.task()).unavailable(arm, cell.task());
        if (cause != null) {
            missing.add("%s (%s): %s".formatted(arm, cell.task().pass(), cause));
            return null;
        }
        try {
            return measurement.measure(cell, arm);
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
