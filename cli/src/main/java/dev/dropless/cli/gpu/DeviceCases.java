package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseCheck;
import dev.dropless.cli.cases.CaseEvaluator;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.EvalPath;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Reference cases of other people's code, as {@code eval --check} computes and judges them. */
public final class DeviceCases {

    private static final String FOLDER = "oracle";

    private final GpuReport report;
    private final boolean quick;

    /**
     * Prepares a check.
     *
     * @param report receives the results
     * @param quick whether the smallest case of every kind is enough
     */
    public DeviceCases(GpuReport report, boolean quick) {
        this.report = report;
        this.quick = quick;
    }

    /**
     * Computes all cases.
     *
     * @param kernels the back end
     * @param precision in which types
     * @throws IOException if a case cannot be read
     */
    public void run(Kernels kernels, CasePrecision precision) throws IOException {
        Path folder = Path.of(System.getProperty("dropless.testData", "test-data/data"), FOLDER);
        if (!Files.isDirectory(folder)) {
            report.note("no reference cases: expected a folder " + folder);
            report.compare("reference cases are there", 1, 0);
            return;
        }
        CaseEvaluator evaluator = new CaseEvaluator(kernels, precision, EvalPath.FUSED);
        List<Path> files = files(folder);
        for (Path path : quick ? smallest(files) : files) {
            check(folder.relativize(path).toString(), path, evaluator);
        }
    }

    private void check(String name, Path path, CaseEvaluator evaluator) throws IOException {
        String which = "%s %s".formatted(name, evaluator.precision());
        try (CaseFile file = CaseFile.open(path)) {
            Optional<String> unsupported = CaseEvaluator.unsupported(file);
            if (unsupported.isPresent()) {
                report.note("%s: %s".formatted(name, unsupported.get()));
                return;
            }
            for (CaseCheck.Row row : evaluator.check(file, evaluator.evaluate(file))) {
                report.compare(which + " " + row.name(), row.error(), row.limit(), row.passed());
                String explanation = row.problem() != null ? row.problem() : row.note();
                if (explanation != null) {
                    report.note("%s %s: %s".formatted(which, row.name(), explanation));
                }
            }
        } catch (IllegalArgumentException | IllegalStateException e) {
            report.note("%s: %s".formatted(name, e.getMessage()));
            report.compare(which, Double.NaN, 0);
        }
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

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(f -> f.getFileName().toString().endsWith(".safetensors"))
                    .sorted()
                    .toList();
        }
    }
}
