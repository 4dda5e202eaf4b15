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
import org.openjdk.jmh.profile.GCProfiler;
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
                .jvmArgs(jvm.toArray(String[]::new))
                .jvmArgsAppend("-Ddropless.bench=true")
                .verbosity(VerboseMode.SILENT)
                .shouldFailOnError(false);
    }

    /**
     * Measures what the machine can do with all threads at once.
     *
     * @param dtypes what else than single precision is asked for
     */
    Row.Peak peak(int threads, List<String> dtypes) throws RunnerException {
        boolean pairs = dtypes.contains("bf16") && PeakBenchmark.hasDotBf16();
        boolean bytes = dtypes.contains("int8") && PeakBenchmark.hasDotInt8();
        // Of arithmetic the fastest sample; of reading the median, since the fastest may come from a cache.
        double fma = samples("fma", threads).getMin();
        double read = samples("read", threads).getPercentile(50);
        return new Row.Peak(
                threads * PeakBenchmark.flops(PeakBenchmark.lanes()) / fma / 1e9,
                threads * PeakBenchmark.readBytes() / read / 1e9,
                pairs
                        ? threads
                                * PeakBenchmark.dotBf16Flops()
                                / samples("dotBf16", threads).getMin()
                                / 1e9
                        : 0,
                bytes
                        ? threads
                                * PeakBenchmark.dotInt8Operations()
                                / samples("dotInt8", threads).getMin()
                                / 1e9
                        : 0);
    }

    private Statistics samples(String method, int threads) throws RunnerException {
        TimeValue time = TimeValue.milliseconds(effort.peakMilliseconds());
        Collection<RunResult> results = new Runner(options(PeakBenchmark.class, method, 1024 * threads, List.of())
                        .forks(Math.min(1, effort.forks()))
                        .warmupIterations(Math.min(1, effort.forks()))
                        .warmupTime(time)
                        .measurementIterations(3)
                        .measurementTime(time)
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
                .param("arm", arm)
                .warmupIterations(1)
                .warmupTime(TimeValue.milliseconds(effort.warmUpMilliseconds()))
                .measurementIterations(effort.iterations())
                .measurementTime(TimeValue.milliseconds(effort.milliseconds()))
                .addProfiler(GCProfiler.class);
        cell.parameters().forEach(options::param);
        Collection<RunResult> results = new Runner(options.build()).run();
        Properties found = Notes.read(notes, arm);
        if (results.isEmpty() || found.containsKey(Notes.FAILURE)) {
            throw new Arm.CheckFailed("%s, %s: %s"
                    .formatted(arm, cell.title(), found.getProperty(Notes.FAILURE, "the measured JVM ended early")));
        }
        RunResult result = results.iterator().next();
        Statistics samples = result.getPrimaryResult().getStatistics();
        return new Row(
                cell,
                arm,
                samples.getPercentile(50),
                samples.getMin(),
                Double.parseDouble(found.getProperty(Notes.CPU_SECONDS, "0")),
                Long.parseLong(found.getProperty(Notes.ALLOCATED_BYTES, "-1")),
                profiledAllocation(result),
                samples.getN(),
                Double.parseDouble(found.getProperty(Notes.COMPUTED_FLOPS)),
                found.getProperty(Notes.DESCRIPTION),
                Double.parseDouble(found.getProperty(Notes.ERROR)));
    }

    /** What JMH's profiler counts for each run: its own work between iterations is included, which matters for few runs. */
    private static double profiledAllocation(RunResult result) {
        return result.getSecondaryResults().entrySet().stream()
                .filter(entry -> entry.getKey().endsWith("gc.alloc.rate.norm"))
                .mapToDouble(entry -> entry.getValue().getScore())
                .filter(Double::isFinite)
                .findFirst()
                .orElse(-1);
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
