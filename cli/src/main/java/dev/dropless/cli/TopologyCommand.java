package dev.dropless.cli;

import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.pictures.TopologyPicture;
import dev.dropless.cli.workload.RoutingPattern;
import dev.dropless.topology.BcsrArrays;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.PaddedRows;
import dev.dropless.topology.Topology;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Prints and draws a topology. */
@Command(
        name = "topology",
        description =
                "Prints the topology of a case file, or of synthetic routing, and draws its block-diagonal matrix.",
        mixinStandardHelpOptions = true)
final class TopologyCommand implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Option(names = "--case", paramLabel = "FILE", description = "take the assignments of this case file")
    private @Nullable Path file;

    @Option(names = "--tokens", defaultValue = "256", description = "T; default ${DEFAULT-VALUE}")
    private int tokens;

    @Option(names = "--experts", defaultValue = "8", description = "E; default ${DEFAULT-VALUE}")
    private int experts;

    @Option(names = "--topk", defaultValue = "2", description = "k; default ${DEFAULT-VALUE}")
    private int topK;

    @Option(
            names = "--routing",
            defaultValue = "zipf",
            description = "uniform, zipf, one-hot or holes; default ${DEFAULT-VALUE}",
            converter = RoutingPatternConverter.class)
    private RoutingPattern routing = RoutingPattern.ZIPF;

    @Option(names = "--seed", defaultValue = "1", description = "seed of the routing; default ${DEFAULT-VALUE}")
    private long seed;

    @Option(names = "--ffn", defaultValue = "64", description = "F, columns of each expert; default ${DEFAULT-VALUE}")
    private int ffnHiddenSize;

    @Option(
            names = "--block",
            split = ",",
            defaultValue = "16,128",
            description = "block sizes to count padding for; the first is drawn; default ${DEFAULT-VALUE}")
    private List<Integer> blockSizes = List.of();

    @Option(
            names = "--arrays",
            description = "print the index arrays (BCSR), padded as MegaBlocks has them, for the first block size")
    private boolean arrays;

    @Option(names = "--png", paramLabel = "FILE", description = "draw as PNG")
    private @Nullable Path png;

    @Option(names = "--svg", paramLabel = "FILE", description = "draw as SVG")
    private @Nullable Path svg;

    @Override
    public Integer call() throws IOException {
        Topology topology =
                file == null ? Topology.of(routing.assign(tokens, experts, topK, seed), topK, experts) : ofCase(file);
        print("%s", topology);
        print("tokens per expert  %s", Arrays.toString(topology.tokensPerExpert()));
        int[] offsets = new int[topology.numExperts() + 1];
        Arrays.setAll(offsets, topology::offset);
        print("offsets            %s", Arrays.toString(offsets));
        for (int blockSize : blockSizes) {
            PaddedRows padded = PaddedRows.of(topology, blockSize);
            print(
                    "block %-5d        %,d rows, padded %,d (%.1f %% padding)",
                    blockSize,
                    topology.rows(),
                    padded.rows(),
                    padded.rows() == 0 ? 0 : 100.0 * padded.paddingRows() / padded.rows());
        }
        if (arrays) {
            arrays(MoeBlockPattern.padded(topology, blockSizes.getFirst(), ffnHiddenSize)
                    .arrays());
        }
        draw(topology);
        return Main.DONE;
    }

    private static Topology ofCase(Path path) throws IOException {
        try (CaseFile file = CaseFile.open(path)) {
            boolean layer = file.metadata("kind").equals("moe_block");
            String name = layer ? "case.topk_indices" : "topk_indices";
            int[] shape = file.shape(name, 2);
            int numExperts = layer ? file.shape("case.router_logits", 2)[1] : file.number("num_experts");
            return Topology.of(file.ints(name), shape[1], numExperts);
        }
    }

    private void arrays(BcsrArrays arrays) {
        print("offsets            %s", Arrays.toString(arrays.offsets()));
        print("column_indices     %s", Arrays.toString(arrays.columnIndices()));
        print("row_indices        %s", Arrays.toString(arrays.rowIndices()));
        print("offsets_t          %s", Arrays.toString(arrays.offsetsT()));
        print("column_indices_t   %s", Arrays.toString(arrays.columnIndicesT()));
        print("row_indices_t      %s", Arrays.toString(arrays.rowIndicesT()));
        print("block_offsets_t    %s", Arrays.toString(arrays.blockOffsetsT()));
    }

    private void draw(Topology topology) throws IOException {
        if (png == null && svg == null) {
            return;
        }
        Pictures.need();
        TopologyPicture picture = new TopologyPicture(
                topology,
                MoeBlockPattern.exact(topology, blockSizes.getFirst(), ffnHiddenSize),
                String.format(
                        Locale.ROOT,
                        "Topology of %s: T = %,d tokens, k = %d",
                        file == null ? routing.name().toLowerCase(Locale.ROOT) + " routing" : file.getFileName(),
                        topology.tokens(),
                        topology.topK()));
        if (png != null) {
            OutputFiles.write(png, picture.png());
        }
        if (svg != null) {
            OutputFiles.write(svg, picture.svg());
        }
    }

    private void print(String format, Object... arguments) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(String.format(Locale.ROOT, format, arguments));
        out.flush();
    }
}
