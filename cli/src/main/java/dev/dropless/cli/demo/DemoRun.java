package dev.dropless.cli.demo;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.BadInput;
import dev.dropless.cli.cases.CaseCheck;
import dev.dropless.cli.cases.CaseEvaluator;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.EvalPath;
import dev.dropless.cli.comparison.Agreement;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.comparison.Outcome;
import dev.dropless.cli.comparison.Timing;
import dev.dropless.cli.comparison.Workbench;
import dev.dropless.cli.workload.Gaussian;
import dev.dropless.cli.workload.Words;
import dev.dropless.moe.Precision;
import dev.dropless.moe.router.RoutingStatistics;
import dev.dropless.moe.sparse.ComposedKernels;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;

/** Computes what the demonstration shows. */
public final class DemoRun {

    private static final int SPARSE_BLOCK = 16;

    private final DemoOptions options;
    private final Kernels kernels;
    private final Consumer<String> progress;

    /**
     * Prepares the demonstration.
     *
     * @param options what to show
     * @param kernels computes; not closed
     * @param progress is told what begins
     */
    public DemoRun(DemoOptions options, Kernels kernels, Consumer<String> progress) {
        this.options = options;
        this.kernels = kernels;
        this.progress = progress;
    }

    /**
     * Reads the text, before anything is computed or written.
     *
     * @return its first words
     * @throws IOException if the text cannot be read
     * @throws BadInput if it has too few words
     */
    public Words readText() throws IOException {
        Words words = Words.of(Files.readString(options.text()), options.tokens());
        if (words.ids().length < DemoOptions.REFERENCE_TOKENS) {
            throw new BadInput("%s: expected at least %d words, found %d"
                    .formatted(options.text(), DemoOptions.REFERENCE_TOKENS, words.ids().length));
        }
        return words;
    }

    /**
     * Computes everything.
     *
     * @param words the text
     * @return the results
     * @throws IOException if the case cannot be read
     */
    public DemoResults run(Words words) throws IOException {
        progress.accept("routing the text");
        int hiddenSize = options.shape().hiddenSize();
        try (Workbench bench = new Workbench(
                kernels,
                options.shape(),
                options.shape().router(),
                options.seed(),
                words.embed(hiddenSize, options.seed() + 1),
                Gaussian.values(words.ids().length * hiddenSize, options.seed() + 3))) {
            List<Contender> contenders = new ArrayList<>(List.of(bench.dropless(), bench.paddedToMaximumLoad()));
            options.factors().forEach(factor -> contenders.add(bench.padded(factor)));
            List<Agreement> agreements = new ArrayList<>();
            agreeWithPadded(bench, contenders, agreements);
            agreeWithReference(bench, agreements);
            agreeWithStored(agreements);
            progress.accept("timing");
            List<Timing> timings = bench.time(contenders, 1, options.runs(), () -> progress.accept("timing"));
            return new DemoResults(
                    options,
                    "%s (%s)".formatted(kernels.name(), kernels.description()),
                    words,
                    bench.topology(),
                    RoutingStatistics.of(bench.routing()),
                    agreements,
                    contenders,
                    timings);
        }
    }

    private void agreeWithPadded(Workbench bench, List<Contender> contenders, List<Agreement> agreements) {
        progress.accept("dropless against padded");
        Outcome dropless = bench.compute(contenders.get(0).layer());
        Outcome padded = bench.compute(contenders.get(1).layer());
        agreements.addAll(Agreement.inSinglePrecision("dropless = padded without drop", dropless, padded));
    }

    private void agreeWithReference(Workbench bench, List<Agreement> agreements) {
        progress.accept("against the float64 reference");
        int tokens = DemoOptions.REFERENCE_TOKENS;
        Outcome exact;
        try (Kernels reference = Backends.byName("reference").open(BackendOptions.threads(1))) {
            exact = bench.recompute(reference, Precision.F64, tokens);
        }
        Outcome fused = bench.recompute(kernels, Precision.F32, tokens);
        agreements.addAll(
                Agreement.inSinglePrecision("dropless = float64 reference, %d tokens".formatted(tokens), fused, exact));
        // Closing it would close the kernels that it borrows.
        Kernels composed = new ComposedKernels(bench.hostKernels(), SPARSE_BLOCK, false);
        Outcome sparse = bench.recompute(composed, Precision.F32, tokens);
        agreements.addAll(Agreement.inSinglePrecision(
                "SDD and DSD%s = float64 reference, %d tokens"
                        .formatted(bench.hostKernels() == kernels ? "" : " on the host", tokens),
                sparse,
                exact));
    }

    /** One row for the stored tensor that comes closest to its limit. */
    private void agreeWithStored(List<Agreement> agreements) throws IOException {
        progress.accept("against stored results");
        CaseEvaluator evaluator = new CaseEvaluator(kernels, CasePrecision.F32, EvalPath.FUSED);
        try (CaseFile file = CaseFile.open(options.layerCase())) {
            List<CaseCheck.Row> rows = evaluator.check(file, evaluator.evaluate(file));
            String name = "%s layer of %s"
                    .formatted(file.metadata("family"), file.metadata("source").split(" ", 2)[0]);
            CaseCheck.Row worst = rows.stream()
                    .max(Comparator.comparing((CaseCheck.Row row) -> !row.passed())
                            .thenComparing(row -> row.limit() == 0 ? row.error() : row.error() / row.limit()))
                    .orElseThrow(() -> new BadInput(options.layerCase() + ": expected stored results, found none"));
            agreements.add(new Agreement(
                    "%s: %d stored tensors, worst %s".formatted(name, rows.size(), worst.name()),
                    worst.passed() ? Math.min(worst.error(), worst.limit()) : Double.POSITIVE_INFINITY,
                    worst.limit()));
        }
    }
}
