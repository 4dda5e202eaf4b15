package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.comparison.Agreement;
import dev.dropless.cli.comparison.ComparisonTables;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.comparison.LayerShape;
import dev.dropless.cli.comparison.Timing;
import dev.dropless.cli.comparison.Workbench;
import dev.dropless.cli.workload.Gaussian;
import dev.dropless.cli.workload.RoutingPattern;
import dev.dropless.topology.PaddedRows;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares the dropless layer with padded batched matmul. */
@Command(
        name = "compare",
        description = "Compares dropless with padded batched matmul: results, dropped tokens, padding, time.",
        mixinStandardHelpOptions = true)
final class CompareCommand implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Option(names = "--tokens", defaultValue = "1024", description = "T; default ${DEFAULT-VALUE}")
    private int tokens;

    @Option(names = "--hidden", defaultValue = "256", description = "H; default ${DEFAULT-VALUE}")
    private int hiddenSize;

    @Option(names = "--ffn", defaultValue = "128", description = "F; default ${DEFAULT-VALUE}")
    private int ffnHiddenSize;

    @Option(names = "--experts", defaultValue = "16", description = "E; default ${DEFAULT-VALUE}")
    private int experts;

    @Option(names = "--topk", defaultValue = "4", description = "k; default ${DEFAULT-VALUE}")
    private int topK;

    @Option(
            names = "--routing",
            defaultValue = "zipf",
            description = "uniform, zipf, one-hot or holes; default ${DEFAULT-VALUE}",
            converter = RoutingPatternConverter.class)
    private RoutingPattern routing = RoutingPattern.ZIPF;

    @Option(
            names = "--capacity-factors",
            split = ",",
            defaultValue = "1.0,1.25,1.5,2.0",
            description = "capacity factors of the padded layer; default ${DEFAULT-VALUE}")
    private List<Double> factors = List.of();

    @Option(
            names = "--block",
            defaultValue = "128",
            description = "block size to count MegaBlocks' padding for; default ${DEFAULT-VALUE}")
    private int blockSize;

    @Option(names = "--runs", defaultValue = "5", description = "measured rounds; default ${DEFAULT-VALUE}")
    private int runs;

    @Option(names = "--seed", defaultValue = "1", description = "seed of everything; default ${DEFAULT-VALUE}")
    private long seed;

    @Mixin
    private ComputeOptions compute;

    @Override
    public Integer call() {
        if (tokens < 1 || runs < 1) {
            throw new BadInput("--tokens, --runs: expected at least 1, found %d and %d".formatted(tokens, runs));
        }
        int[] ids = routing.assign(tokens, experts, topK, seed);
        LayerShape shape = new LayerShape(hiddenSize, ffnHiddenSize, experts, topK);
        int elements = Math.multiplyExact(tokens, hiddenSize);
        try (Kernels kernels = compute.open();
                Workbench bench = new Workbench(
                        kernels,
                        shape,
                        shape.router(ids),
                        seed,
                        Gaussian.values(elements, seed + 1),
                        Gaussian.values(elements, seed + 2))) {
            print(
                    "%s routing, T = %d, H = %d, F = %d, E = %d, k = %d, on %s (%s)",
                    RoutingPatternConverter.name(routing),
                    tokens,
                    hiddenSize,
                    ffnHiddenSize,
                    experts,
                    topK,
                    kernels.name(),
                    kernels.description());
            PaddedRows blocks = PaddedRows.of(bench.topology(), blockSize);
            print(
                    "busiest expert %,d of %,d rows; rounding every expert up to blocks of %d rows would add %s padding",
                    bench.topology().maxTokensPerExpert(),
                    bench.topology().rows(),
                    blockSize,
                    ComparisonTables.percent((double) blocks.paddingRows() / blocks.rows()));
            List<Contender> contenders = new ArrayList<>(List.of(bench.dropless(), bench.paddedToMaximumLoad()));
            factors.forEach(factor -> contenders.add(bench.padded(factor)));
            List<Agreement> agreements = Agreement.inSinglePrecision(
                    "dropless = padded without drop",
                    bench.compute(contenders.get(0).layer()),
                    bench.compute(contenders.get(1).layer()));
            print("%n%s", ComparisonTables.agreements(agreements));
            List<Timing> timings;
            try (Progress progress = Progress.of("compare", (long) contenders.size() * (runs + 1))) {
                timings = bench.time(contenders, 1, runs, progress::step);
            }
            print("%s", ComparisonTables.times(contenders, timings));
            return agreements.stream().allMatch(Agreement::passed) ? Main.DONE : Main.COMPARISON_FAILED;
        }
    }

    private void print(String format, Object... arguments) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(String.format(Locale.ROOT, format, arguments));
        out.flush();
    }
}
