package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseCheck;
import dev.dropless.cli.cases.CaseEvaluator;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.CaseResults;
import dev.dropless.cli.cases.EvalPath;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Computes reference cases and writes the results under the same tensor names. */
@Command(
        name = "eval",
        description = "Computes reference case files and writes the results under the same tensor names.",
        mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {

    private static final String SUFFIX = ".safetensors";

    /** One case or a folder of them. */
    static final class Input {
        @Option(names = "--case", paramLabel = "FILE", description = "one case file; --out is a file", required = true)
        @Nullable
        Path file;

        @Option(
                names = "--cases",
                paramLabel = "DIR",
                description = "every case file under this folder; --out is a folder",
                required = true)
        @Nullable
        Path folder;
    }

    @Spec
    private CommandSpec spec;

    @ArgGroup(multiplicity = "1")
    private Input input = new Input();

    @Option(names = "--out", paramLabel = "PATH", description = "where the results go (needed unless --check is given)")
    private @Nullable Path out;

    @Option(
            names = "--precision",
            defaultValue = "f64",
            description = "f64 (reference back end), f32 or bf16; default ${DEFAULT-VALUE}")
    private CasePrecision precision = CasePrecision.F64;

    @Option(
            names = "--path",
            defaultValue = "fused",
            description = "how experts are computed: sparse, fused or padded; default ${DEFAULT-VALUE}")
    private EvalPath path = EvalPath.FUSED;

    @Option(
            names = "--check",
            description = "compare with the stored results; exit status 1 if one is beyond its limit")
    private boolean check;

    @Mixin
    private ComputeOptions compute;

    private int evaluated;
    private int failed;
    private int skipped;

    @Override
    public Integer call() throws IOException {
        if (out == null && !check) {
            throw new BadInput("--out: expected a path unless --check is given, found none");
        }
        if (precision == CasePrecision.F64
                && compute.backend != null
                && !compute.backend.equals(ComputeOptions.REFERENCE)) {
            throw new BadInput("--backend: expected reference for --precision f64, found " + compute.backend);
        }
        String backend = precision == CasePrecision.F64 ? ComputeOptions.REFERENCE : compute.backend;
        try (Kernels kernels = compute.open(backend)) {
            CaseEvaluator evaluator = new CaseEvaluator(kernels, precision, path);
            if (input.file != null) {
                one(evaluator, input.file);
            } else if (input.folder != null) {
                all(evaluator, input.folder);
            }
        }
        return failed == 0 ? Main.DONE : Main.COMPARISON_FAILED;
    }

    private void one(CaseEvaluator evaluator, Path file) throws IOException {
        try (CaseFile opened = CaseFile.open(file)) {
            CaseEvaluator.unsupported(opened).ifPresent(reason -> {
                throw new BadInput(file + ": " + reason);
            });
            evaluate(evaluator, opened, file.toString(), out);
        }
    }

    private void all(CaseEvaluator evaluator, Path folder) throws IOException {
        List<Path> files = list(folder);
        try (Progress progress = Progress.of("eval", files.size())) {
            for (Path file : files) {
                Path relative = folder.relativize(file);
                try (CaseFile opened = CaseFile.open(file)) {
                    Optional<String> unsupported = CaseEvaluator.unsupported(opened);
                    if (unsupported.isPresent()) {
                        skipped++;
                        print("skipped  %s: %s", relative, unsupported.get());
                    } else {
                        evaluate(evaluator, opened, relative.toString(), target(relative));
                    }
                }
                progress.step();
            }
        }
        print("%d evaluated, %d failed, %d skipped", evaluated, failed, skipped);
    }

    /** Where a case's results go, with the same path under --out; its folder exists then. */
    private @Nullable Path target(Path relative) {
        if (out == null) {
            return null;
        }
        Path target = out.resolve(relative);
        Path parent = target.toAbsolutePath().getParent();
        if (parent != null) {
            OutputFiles.createFolder(parent);
        }
        return target;
    }

    private static List<Path> list(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new BadInput("--cases: expected a folder, found "
                    + (Files.exists(folder) ? "the file " : "nothing at ") + folder);
        }
        try (Stream<Path> walk = Files.walk(folder)) {
            List<Path> files = walk.filter(Files::isRegularFile)
                    .filter(file -> file.getFileName().toString().endsWith(SUFFIX))
                    .sorted()
                    .toList();
            if (files.isEmpty()) {
                throw new BadInput(
                        "--cases: expected a folder with %s files, found none in %s".formatted(SUFFIX, folder));
            }
            return files;
        }
    }

    private void evaluate(CaseEvaluator evaluator, CaseFile file, String name, @Nullable Path target)
            throws IOException {
        CaseResults results = evaluator.evaluate(file);
        if (target != null) {
            results.write(file, evaluator.metadata(file), target);
        }
        evaluated++;
        if (!check) {
            print("done     %s: %d tensors", name, results.tensors().size());
            return;
        }
        List<CaseCheck.Row> rows = evaluator.check(file, results);
        boolean passed = rows.stream().allMatch(CaseCheck.Row::passed);
        if (!passed) {
            failed++;
        }
        print("%s %s: %d results compared", passed ? "ok      " : "FAIL    ", name, rows.size());
        rows.forEach(row -> print("  %s", row));
    }

    private void print(String format, Object... arguments) {
        PrintWriter printer = spec.commandLine().getOut();
        printer.println(format.formatted(arguments));
        printer.flush();
    }
}
