package dev.dropless.cli;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseEvaluator;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.EvalPath;
import dev.dropless.cli.routing.RoutedTokens;
import dev.dropless.cli.routing.RoutingPictures;
import dev.dropless.cli.routing.RoutingReport;
import dev.dropless.cli.workload.Words;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.safetensors.Json;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Statistics and pictures of a routing. */
@Command(
        name = "routing",
        description = "Routes the tokens of a case file or of a text, prints statistics of the routing and draws them.",
        mixinStandardHelpOptions = true)
final class RoutingCommand implements Callable<Integer> {

    /** A layer with its input, or a text. */
    static final class Input {
        @Option(names = "--case", paramLabel = "FILE", required = true, description = "case file of a layer")
        @Nullable
        Path file;

        @Option(
                names = "--text",
                paramLabel = "FILE",
                required = true,
                description = "text; its words are routed by a seeded embedding and a seeded softmax router")
        @Nullable
        Path text;
    }

    @Spec
    private CommandSpec spec;

    @ArgGroup(multiplicity = "1")
    private Input input = new Input();

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            description = "folder for pictures and statistics.json; created if missing")
    private Path out = Path.of("");

    @Option(
            names = "--capacity-factors",
            split = ",",
            defaultValue = "1.0,1.25,1.5,2.0",
            description = "capacities to count drops for; default ${DEFAULT-VALUE}")
    private List<Double> factors = List.of();

    @Option(names = "--tokens", defaultValue = "4096", description = "tokens of the text; default ${DEFAULT-VALUE}")
    private int tokens;

    @Option(
            names = "--hidden",
            defaultValue = "128",
            description = "H of the text's embedding; default ${DEFAULT-VALUE}")
    private int hiddenSize;

    @Option(names = "--experts", defaultValue = "32", description = "E for the text; default ${DEFAULT-VALUE}")
    private int experts;

    @Option(names = "--topk", defaultValue = "4", description = "k for the text; default ${DEFAULT-VALUE}")
    private int topK;

    @Option(
            names = "--seed",
            defaultValue = "1",
            description = "seed of embedding and router; default ${DEFAULT-VALUE}")
    private long seed;

    @Override
    public Integer call() throws IOException {
        Pictures.need();
        for (double factor : factors) {
            if (!(factor > 0)) {
                throw new BadInput("--capacity-factors: expected numbers above 0, found " + factor);
            }
        }
        RoutedTokens routed = input.file != null ? ofCase(input.file) : ofText(input.text == null ? out : input.text);
        RoutingReport report = new RoutingReport(routed, factors);
        Map<String, byte[]> pictures = RoutingPictures.draw(report);
        OutputFiles.createFolder(out);
        for (Map.Entry<String, byte[]> picture : pictures.entrySet()) {
            OutputFiles.write(out.resolve(picture.getKey()), picture.getValue());
        }
        byte[] json = (Json.writePretty(report.json()) + "\n").getBytes(StandardCharsets.UTF_8);
        OutputFiles.write(out.resolve("statistics.json"), json);
        PrintWriter printer = spec.commandLine().getOut();
        printer.print(report.text());
        printer.println("Written to %s: %s, statistics.json".formatted(out, String.join(", ", pictures.keySet())));
        printer.flush();
        return Main.DONE;
    }

    private static RoutedTokens ofCase(Path path) throws IOException {
        try (CaseFile file = CaseFile.open(path);
                Kernels kernels =
                        ComputeOptions.choose(ComputeOptions.REFERENCE).open(BackendOptions.threads(1))) {
            var routing = new CaseEvaluator(kernels, CasePrecision.F64, EvalPath.FUSED).routing(file);
            String title = file.metadata("family") + "/" + path.getFileName();
            return new RoutedTokens(title, routing, List.of());
        }
    }

    private RoutedTokens ofText(Path path) throws IOException {
        atLeastOne("--tokens", tokens);
        atLeastOne("--hidden", hiddenSize);
        atLeastOne("--experts", experts);
        atLeastOne("--topk", topK);
        if (topK > experts) {
            throw new BadInput("--topk: expected at most --experts = %d, found %d".formatted(experts, topK));
        }
        Words words;
        try {
            words = Words.of(Files.readString(path), tokens);
        } catch (CharacterCodingException e) {
            throw new BadInput(path + ": expected a text in UTF-8, found other bytes", e);
        }
        if (words.ids().length == 0) {
            throw new BadInput(path + ": expected a text with words, found none");
        }
        try (Kernels kernels = ComputeOptions.choose(ComputeOptions.REFERENCE).open(BackendOptions.threads(1))) {
            return RoutedTokens.ofText(
                    String.valueOf(path.getFileName()),
                    words,
                    hiddenSize,
                    experts,
                    ScoreRouter.softmaxTopK(topK, false),
                    seed,
                    kernels);
        }
    }

    private static void atLeastOne(String option, int value) {
        if (value < 1) {
            throw new BadInput("%s: expected at least 1, found %d".formatted(option, value));
        }
    }
}
