package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.LaunchTuning;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.gpu.CeilingBenchmark;
import dev.dropless.cli.gpu.Ceilings;
import dev.dropless.cli.gpu.DeviceCases;
import dev.dropless.cli.gpu.DeviceComparisons;
import dev.dropless.cli.gpu.GpuParts;
import dev.dropless.cli.gpu.GpuReport;
import dev.dropless.cli.gpu.LaunchTuner;
import dev.dropless.cli.gpu.ShapeBenchmarks;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Checks and measures the CUDA back end on the GPU of this machine; every part in a process of its own with a time limit. */
@Command(
        name = "gpu-check",
        description = "Checks the CUDA back end against the reference on this machine's GPU, then measures it.",
        mixinStandardHelpOptions = true)
final class GpuCheckCommand implements Callable<Integer> {

    private static final String BACKEND = "cuda";

    /** What diagnostics call the engine, how one is asked for, and the one that every device has. */
    private static final String ENGINE = "engine";

    private static final String ENGINE_PROPERTY = "dropless.cuda.engine";

    private static final String PORTABLE = "portable";

    /** The layers that are measured with the portable engine too. */
    private static final List<String> PORTABLE_SHAPES = List.of("decode-qwen3-t16", "olmoe-1b-7b", "megablocks-medium");

    /** Left of a part's time when it begins its last row. */
    private static final int ROW_SECONDS = 3;

    @Spec
    private CommandSpec spec;

    @Option(names = "--json", paramLabel = "FILE", required = true, description = "where the results go")
    private Path json = Path.of("");

    @Option(
            names = "--seconds",
            paramLabel = "N",
            defaultValue = "460",
            description = "limit of the whole run; default ${DEFAULT-VALUE}")
    private int seconds;

    @Option(names = "--part", paramLabel = "NAME", description = "run one part alone, in this process")
    private @Nullable String part;

    @Option(
            names = "--ceilings",
            paramLabel = "BURST,SUSTAINED,COPY",
            description =
                    "TFLOP/s and GB/s that rows of a part alone are compared with, as a whole run's part ceilings reports them")
    private @Nullable String ceilings;

    @Option(
            names = "--tuning",
            paramLabel = "FILE",
            description = "where part tune writes the launches that were fastest")
    private @Nullable Path tuning;

    @Option(
            names = "--quick",
            description = "smallest sizes and a few reference cases: shows that the check runs, measures nothing")
    private boolean quick;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            defaultValue = BACKEND,
            description = "back end to check; default ${DEFAULT-VALUE}")
    private String backend = BACKEND;

    @Override
    public Integer call() throws IOException, InterruptedException {
        KernelBackend found = Backends.byName(backend);
        Availability availability = found.availability();
        if (!availability.isAvailable()) {
            PrintWriter err = spec.commandLine().getErr();
            err.println(
                    "dropless: gpu-check: backend %s is not available: %s".formatted(backend, availability.cause()));
            err.flush();
            return Main.COMPARISON_FAILED;
        }
        if (part != null) {
            return runAlone(part, found, availability);
        }
        GpuParts parts = new GpuParts(seconds, backend, quick, this::print);
        String all = parts.runAll();
        OutputFiles.write(json, all.getBytes(StandardCharsets.UTF_8));
        print("%s: %s".formatted(json, parts.passed() ? "all parts passed" : "not all parts passed"));
        return parts.passed() ? Main.DONE : Main.COMPARISON_FAILED;
    }

    private int runAlone(String name, KernelBackend found, Availability availability) throws IOException {
        GpuReport report = new GpuReport(this::write);
        run(name, found, availability, report);
        write(report);
        return report.failed() == 0 ? Main.DONE : Main.COMPARISON_FAILED;
    }

    private void write(GpuReport report) {
        try {
            OutputFiles.write(json, report.json().getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void run(String name, KernelBackend found, Availability availability, GpuReport report) throws IOException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Math.max(1, seconds - ROW_SECONDS));
        Ceilings known = ceilings == null ? Ceilings.UNKNOWN : Ceilings.parse(ceilings);
        report.fact("backend", backend);
        report.fact("found", availability.description());
        report.fact("java", Runtime.version().toString());
        try (Kernels kernels = name.equals(PORTABLE) ? openPortable(found) : found.open(BackendOptions.defaults())) {
            report.fact("opened", kernels.description());
            ShapeBenchmarks shapes = new ShapeBenchmarks(kernels, known, report, quick, deadline);
            switch (name) {
                case "device" -> report.compare("opens", 0, 0);
                case "ceilings" -> new CeilingBenchmark(kernels, report, quick).run();
                case "kernels" -> compare(kernels, report);
                case "engines" -> compareEngines(kernels, found, report);
                case "cases-f32" -> new DeviceCases(report, quick).run(kernels, CasePrecision.F32);
                case "cases-bf16" -> new DeviceCases(report, quick).run(kernels, CasePrecision.BF16);
                case "blocks" -> shapes.blocks();
                case PORTABLE -> shapes.named(PORTABLE_SHAPES, "portable ");
                case "tune" -> tune(kernels, report, deadline);
                default -> {
                    if (!shapes.part(name)) {
                        throw new BadInput("--part: expected one of %s, found %s".formatted(GpuParts.names(), name));
                    }
                }
            }
        }
    }

    private void tune(Kernels kernels, GpuReport report, long deadline) throws IOException {
        LaunchTuning launches = kernels.tuning();
        if (launches == null) {
            report.note("there is one way to launch kernels here: " + kernels.description());
            return;
        }
        String best = new LaunchTuner(kernels, report, quick, deadline).run(launches);
        report.note(best);
        print(best);
        if (tuning != null) {
            OutputFiles.write(tuning, best.getBytes(StandardCharsets.UTF_8));
        }
    }

    private void compare(Kernels kernels, GpuReport report) {
        try (Kernels reference = Backends.byName(ComputeOptions.REFERENCE).open(BackendOptions.defaults())) {
            DeviceComparisons comparisons = new DeviceComparisons(kernels, reference, report, quick);
            comparisons.blockSparse();
            comparisons.expertPath();
        }
    }

    /** The engine that the device is given by default beside the portable one. */
    private void compareEngines(Kernels kernels, KernelBackend found, GpuReport report) {
        String engine = kernels.diagnostics().get(ENGINE);
        if (engine == null || engine.equals(PORTABLE)) {
            report.note("one engine: there is nothing to compare");
            return;
        }
        try (Kernels portable = openPortable(found);
                Kernels reference = Backends.byName(ComputeOptions.REFERENCE).open(BackendOptions.defaults())) {
            new DeviceComparisons(kernels, reference, report, quick).engines(portable);
        }
        kernels.diagnostics().forEach(report::fact);
    }

    private static Kernels openPortable(KernelBackend found) {
        String before = System.getProperty(ENGINE_PROPERTY);
        System.setProperty(ENGINE_PROPERTY, PORTABLE);
        try {
            return found.open(BackendOptions.defaults());
        } finally {
            if (before == null) {
                System.clearProperty(ENGINE_PROPERTY);
            } else {
                System.setProperty(ENGINE_PROPERTY, before);
            }
        }
    }

    private void print(String line) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(line);
        out.flush();
    }
}
