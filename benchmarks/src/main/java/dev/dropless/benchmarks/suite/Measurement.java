package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.Arm;
import dev.dropless.benchmarks.Notes;
import dev.dropless.benchmarks.OwnArms;
import dev.dropless.benchmarks.PeakBenchmark;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import org.openjdk.jmh.util.Statistics;

/** Runs JMH: every arm in JVMs of its own, with a fixed heap. */
final class Measurement implements AutoCloseable {

    private final Effort effort;
    private final Path notes;

    /** Creates the folder for notes. */
    Measurement(Effort effort) throws IOException {
        this.effort = effort;
        this.notes = Files.createTempDirectory("dropless-bench");
    }

    private ChainedOptionsBuilder options(Class<?> benchmark, String method, int heapMegabytes, List<String> further) {
        List<String> jvm = new ArrayList<>(further);
        jvm.addAll(List.of(
                "-Xms" + heapMegabytes + "m",
                "-Xmx" + heapMegabytes + "m",
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-D" + Notes.FOLDER + "=" + notes));
        return new OptionsBuilder()
                .include("^" + benchmark.getName().replace(".", "\\.") + "\\." + method + "$")
                .forks(effort.forks())
                .warmupIterations(effort.warmups())
                .warmupTime(TimeValue.milliseconds(effort.milliseconds()))
                .measurementIterations(effort.iterations())
                .measurementTime(TimeValue.milliseconds(effort.milliseconds()))
                .jvmArgs(jvm.toArray(String[]::new))
                .jvmArgsAppend("-Ddropless.bench=true")
                .verbosity(VerboseMode.SILENT)
                .shouldFailOnError(false);
    }

    /** All threads at once. The fastest sample of arithmetic; the median of reading, whose fastest may come from a cache. */
    Row.Peak peak(int threads) throws RunnerException {
        double fma = samples(PeakBenchmark.class, "fma", threads).getMin();
        double read = samples(PeakBenchmark.class, "read", threads).getPercentile(50);
        double dots = PeakBenchmark.hasDotBf16()
                ? threads
                        * PeakBenchmark.dotFlops()
                        / samples(PeakBenchmark.class, "dotBf16", threads).getMin()
                        / 1e9
                : 0;
        return new Row.Peak(
                threads * PeakBenchmark.flops(PeakBenchmark.lanes()) / fma / 1e9,
                threads * PeakBenchmark.readBytes() / read / 1e9,
                dots);
    }

    private Statistics samples(Class<?> benchmark, String method, int threads) throws RunnerException {
        Collection<RunResult> results = new Runner(options(benchmark, method, 1024 * threads, List.of())
                        .threads(threads)
                        .build())
                .run();
        return results.iterator().next().getPrimaryResult().getStatistics();
    }

    /**
     * Measures an arm.
     *
     * @throws Arm.CheckFailed if its result is wrong, or it could not be set up
     */
    Row measure(Cell cell, String arm) throws IOException, RunnerException {
        if (effort.forks() == 0) {
            System.setProperty(Notes.FOLDER, notes.toString());
        }
        Files.deleteIfExists(notes.resolve(arm));
        ChainedOptionsBuilder options = options(cell.benchmark(), "run", cell.heapMegabytes(), OwnArms.jvmOptions(arm))
                .param("arm", arm);
        cell.parameters().forEach(options::param);
        Collection<RunResult> results = new Runner(options.build()).run();
        Properties found = Notes.read(notes, arm);
        if (results.isEmpty() || found.containsKey(Notes.FAILURE)) {
            throw new Arm.CheckFailed("%s, %s: %s"
                    .formatted(arm, cell.title(), found.getProperty(Notes.FAILURE, "the measured JVM ended early")));
        }
        Statistics samples = results.iterator().next().getPrimaryResult().getStatistics();
        return new Row(
                cell,
                arm,
                samples.getPercentile(50),
                samples.getMin(),
                Double.parseDouble(found.getProperty(Notes.CPU_SECONDS, "0")),
                samples.getN(),
                Double.parseDouble(found.getProperty(Notes.COMPUTED_FLOPS)),
                found.getProperty(Notes.DESCRIPTION),
                Double.parseDouble(found.getProperty(Notes.ERROR)));
    }

    /** Removes the notes. */
    @Override
    public void close() throws IOException {
        try (var files = Files.list(notes)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(notes);
    }
}
