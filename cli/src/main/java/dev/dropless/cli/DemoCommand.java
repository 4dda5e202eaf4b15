package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.comparison.LayerShape;
import dev.dropless.cli.demo.DemoOptions;
import dev.dropless.cli.demo.DemoPictures;
import dev.dropless.cli.demo.DemoReport;
import dev.dropless.cli.demo.DemoResults;
import dev.dropless.cli.demo.DemoRun;
import dev.dropless.cli.demo.DemoTables;
import dev.dropless.cli.machine.Machine;
import dev.dropless.cli.workload.Words;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The main job on real input, with tables, pictures and a report. */
@Command(
        name = "demo",
        description =
                "Routes a real text through one layer of OLMoE's proportions, dropless and padded; writes pictures and a report.",
        mixinStandardHelpOptions = true)
final class DemoCommand implements Callable<Integer> {

    /** Set by the start script: the folder test-data/data of the checkout. */
    private static final String TEST_DATA = "dropless.testData";

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "dropless-demo",
            description = "folder for pictures and report; default ./${DEFAULT-VALUE}")
    private Path out = Path.of("dropless-demo");

    @Option(names = "--text", paramLabel = "FILE", description = "text to route (default: chapters of Moby-Dick)")
    private @Nullable Path text;

    @Option(
            names = "--case",
            paramLabel = "FILE",
            description = "layer with stored results to check (default: an OLMoE layer)")
    private @Nullable Path layerCase;

    @Option(names = "--tokens", defaultValue = "4096", description = "tokens of the text; default ${DEFAULT-VALUE}")
    private int tokens;

    @Option(names = "--hidden", defaultValue = "256", description = "H; default ${DEFAULT-VALUE}")
    private int hiddenSize;

    @Option(names = "--ffn", defaultValue = "128", description = "F; default ${DEFAULT-VALUE}")
    private int ffnHiddenSize;

    @Option(names = "--experts", defaultValue = "64", description = "E; default ${DEFAULT-VALUE}")
    private int experts;

    @Option(names = "--topk", defaultValue = "8", description = "k; default ${DEFAULT-VALUE}")
    private int topK;

    @Option(names = "--runs", defaultValue = "5", description = "measured rounds; default ${DEFAULT-VALUE}")
    private int runs;

    @Option(
            names = "--seed",
            defaultValue = "1",
            description = "seed of embedding and weights; default ${DEFAULT-VALUE}")
    private long seed;

    @Mixin
    private ComputeOptions compute;

    @Override
    public Integer call() throws IOException {
        Pictures.need();
        if (runs < 1) {
            throw new BadInput("--runs: expected at least 1, found " + runs);
        }
        LayerShape shape = new LayerShape(hiddenSize, ffnHiddenSize, experts, topK);
        shape.check(tokens);
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new BadInput("--out: expected a folder, found the file " + out);
        }
        DemoOptions options = new DemoOptions(
                text != null ? text : testData("text/moby-dick-chapters-1-16.txt"),
                layerCase != null ? layerCase : testData("oracle/olmoe/random.safetensors"),
                tokens,
                shape,
                List.of(1.0, 1.25, 1.5, 2.0),
                runs,
                seed);
        DemoResults results;
        try (Kernels kernels = compute.open();
                Progress progress = Progress.of("demo", 5 + 6L * (runs + 1))) {
            DemoRun run = new DemoRun(options, kernels, what -> {
                progress.describe(what);
                progress.step();
            });
            Words words = run.readText();
            // Before the work, which would be lost if the folder cannot be created.
            OutputFiles.createFolder(out);
            results = run.run(words);
        }
        PrintWriter printer = spec.commandLine().getOut();
        printer.print(new DemoTables(results).text());
        write(results);
        printer.println(
                results.passed() ? "All results agree." : "FAILED: a result is beyond its limit, see the first table.");
        printer.println("Report: " + out.resolve("report.html"));
        printer.flush();
        return results.passed() ? Main.DONE : Main.COMPARISON_FAILED;
    }

    private static Path testData(String relative) {
        String folder = System.getProperty(TEST_DATA);
        if (folder == null) {
            throw new BadInput("--text, --case: expected files where system property %s names no folder, found none"
                    .formatted(TEST_DATA));
        }
        return Path.of(folder).resolve(relative);
    }

    private void write(DemoResults results) throws IOException {
        Map<String, byte[]> pictures = DemoPictures.draw(results);
        String command = "./dropless "
                + String.join(" ", spec.commandLine().getParseResult().originalArgs());
        String report = DemoReport.html(results, pictures, Machine.current(), command);
        for (Map.Entry<String, byte[]> picture : pictures.entrySet()) {
            OutputFiles.write(out.resolve(picture.getKey()), picture.getValue());
        }
        OutputFiles.write(out.resolve("report.html"), report.getBytes(StandardCharsets.UTF_8));
    }
}
