package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseCheck;
import dev.dropless.cli.cases.CaseEvaluator;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.EvalPath;
import dev.dropless.cli.gpu.DeviceBenchmarks;
import dev.dropless.cli.gpu.DeviceComparisons;
import dev.dropless.cli.gpu.GpuParts;
import dev.dropless.cli.gpu.GpuReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
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

    /** How much worse than the reference a result may be where rounded weights alone are beyond the limit. */
    private static final double KINK_MARGIN = 1.05;

    /** Left of a part's time when it begins its last shape. */
    private static final int SHAPE_SECONDS = 25;

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
            GpuReport report = new GpuReport();
            run(part, found, availability, report);
            OutputFiles.write(json, report.json().getBytes(StandardCharsets.UTF_8));
            return report.failed() == 0 ? Main.DONE : Main.COMPARISON_FAILED;
        }
        GpuParts parts = new GpuParts(seconds, backend, quick, this::print);
        String all = parts.runAll();
        OutputFiles.write(json, all.getBytes(StandardCharsets.UTF_8));
        print("%s: %s".formatted(json, parts.passed() ? "all parts passed" : "not all parts passed"));
        return parts.passed() ? Main.DONE : Main.COMPARISON_FAILED;
    }

    private void run(String name, KernelBackend found, Availability availability, GpuReport report) throws IOException {
        report.fact("backend", backend);
        report.fact("found", availability.description());
        report.fact("java", Runtime.version().toString());
        try (Kernels kernels = found.open(BackendOptions.defaults())) {
            report.fact("opened", kernels.description());
            switch (name) {
                case "device" -> report.compare("opens", 0, 0);
                case "ceilings" -> new DeviceBenchmarks(kernels, report, quick).ceilings();
                case "kernels" -> compare(kernels, report);
                case "engines" -> compareEngines(kernels, found, report);
                case "cases-f32" -> cases(kernels, CasePrecision.F32, report);
                case "cases-bf16" -> cases(kernels, CasePrecision.BF16, report);
                case "shapes" ->
                    new DeviceBenchmarks(kernels, report, quick)
                            .shapes(System.nanoTime() + TimeUnit.SECONDS.toNanos(Math.max(1, seconds - SHAPE_SECONDS)));
                default -> throw new BadInput("--part: expected one of %s, found %s".formatted(GpuParts.names(), name));
            }
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

    /** Reference cases of other people's code, as {@code eval --check} computes them. */
    private void cases(Kernels kernels, CasePrecision precision, GpuReport report) throws IOException {
        Path folder = Path.of(System.getProperty("dropless.testData", "test-data/data"), "oracle");
        if (!Files.isDirectory(folder)) {
            report.note("no reference cases: expected a folder " + folder);
            report.compare("reference cases are there", 1, 0);
            return;
        }
        try (Kernels judge = Backends.byName(ComputeOptions.REFERENCE).open(BackendOptions.defaults())) {
            CaseEvaluator evaluator = new CaseEvaluator(kernels, precision, EvalPath.FUSED);
            cases(folder, evaluator, new CaseEvaluator(judge, precision, EvalPath.FUSED), precision, report);
        }
    }

    private void cases(
            Path folder, CaseEvaluator evaluator, CaseEvaluator judge, CasePrecision precision, GpuReport report)
            throws IOException {
        List<Path> files = caseFiles(folder);
        for (Path path : quick ? smallest(files) : files) {
            String name = folder.relativize(path).toString();
            try (CaseFile file = CaseFile.open(path)) {
                Optional<String> unsupported = CaseEvaluator.unsupported(file);
                if (unsupported.isPresent()) {
                    report.note("%s: %s".formatted(name, unsupported.get()));
                    continue;
                }
                List<CaseCheck.Row> rows = evaluator.check(file, evaluator.evaluate(file));
                List<CaseCheck.Row> judged =
                        rows.stream().allMatch(CaseCheck.Row::passed) ? rows : judge.check(file, judge.evaluate(file));
                for (int i = 0; i < rows.size(); i++) {
                    compare("%s %s".formatted(name, precision), rows.get(i), judged.get(i), report);
                }
            } catch (IllegalArgumentException | IllegalStateException e) {
                report.note("%s: %s".formatted(name, e.getMessage()));
                report.compare("%s %s".formatted(name, precision), Double.NaN, 0);
            }
        }
    }

    /**
     * Reports one result. Where a kink of an activation lies between a weight and its rounding, no arithmetic on rounded weights comes near the stored result: what the
     * reference makes of the same weights is then the limit.
     */
    private static void compare(String name, CaseCheck.Row row, CaseCheck.Row judged, GpuReport report) {
        String result = name + " " + row.name();
        if (!row.passed() && !judged.passed()) {
            report.note(
                    "%s: the reference has an error of %.2e at these weights too".formatted(result, judged.error()));
            report.compare(result, row.error(), KINK_MARGIN * judged.error());
            return;
        }
        report.compare(result, row.passed() ? 0 : row.error(), row.limit());
    }

    /** The smallest case of every folder. */
    private static List<Path> smallest(List<Path> files) {
        Map<Path, Path> smallest = new TreeMap<>();
        for (Path file : files) {
            Path folder = Objects.requireNonNull(file.getParent());
            smallest.merge(
                    folder, file, (a, b) -> a.toFile().length() <= b.toFile().length() ? a : b);
        }
        return List.copyOf(smallest.values());
    }

    private static List<Path> caseFiles(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(f -> f.getFileName().toString().endsWith(".safetensors"))
                    .sorted()
                    .toList();
        }
    }

    private void print(String line) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(line);
        out.flush();
    }
}
