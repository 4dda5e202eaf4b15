package dev.dropless.cli;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseFile;
import dev.dropless.cli.cases.CasePrecision;
import dev.dropless.cli.cases.CheckpointTensors;
import dev.dropless.cli.cases.EvalPath;
import dev.dropless.cli.cases.OpenLayer;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.Precision;
import dev.dropless.moe.family.Families;
import dev.dropless.moe.family.Family;
import dev.dropless.moe.family.LayerCheckpoint;
import dev.dropless.moe.family.Settings;
import dev.dropless.moe.family.Tables;
import dev.dropless.moe.router.Routing;
import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.JsonObject;
import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.safetensors.SafetensorsWriter;
import dev.dropless.safetensors.ShardedCheckpoint;
import dev.dropless.safetensors.TensorType;
import dev.dropless.safetensors.TensorView;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Computes one MoE layer of a Hugging Face checkpoint. */
@Command(
        name = "run",
        description = "Computes one mixture-of-experts layer of a Hugging Face checkpoint on given hidden states.",
        mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {

    private static final String CONFIG = "config.json";
    private static final String INT8 = "int8";

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--checkpoint",
            paramLabel = "FILE|DIR",
            required = true,
            description = "a .safetensors file, an index, or a folder with either")
    private Path checkpoint = Path.of("");

    @Option(
            names = "--layer",
            paramLabel = "PREFIX",
            defaultValue = "",
            description = "what the layer's tensor names begin with, or its number; default none")
    private String layer = "";

    @Option(
            names = "--family",
            paramLabel = "NAME",
            description = "model family (default: model_type of the configuration)")
    private @Nullable String family;

    @Option(
            names = "--config",
            paramLabel = "FILE",
            description = "configuration (default: config.json beside the checkpoint)")
    private @Nullable Path config;

    @Option(
            names = "--input",
            paramLabel = "FILE",
            required = true,
            description = "safetensors file with hidden states [..., H]")
    private Path input = Path.of("");

    @Option(names = "--tensor", paramLabel = "NAME", description = "which tensor of the input (default: the only one)")
    private @Nullable String tensor;

    @Option(
            names = "--token-ids",
            paramLabel = "NAME",
            description = "tensor of the input with the tokens' vocabulary ids, for layers that route by them")
    private @Nullable String tokenIds;

    @Option(names = "--output", paramLabel = "FILE", required = true, description = "safetensors file to write")
    private Path output = Path.of("");

    @Option(
            names = "--output-tensor",
            paramLabel = "NAME",
            defaultValue = "output",
            description = "name of the result; default ${DEFAULT-VALUE}")
    private String outputTensor = "output";

    @Option(
            names = "--precision",
            defaultValue = "f32",
            description = "f64 (reference back end), f32 or bf16; default ${DEFAULT-VALUE}")
    private CasePrecision precision = CasePrecision.F32;

    @Option(
            names = "--weights",
            paramLabel = "int8",
            description = "keep the experts' projections in 8 bits with a scale for each output column"
                    + " (default: as --precision says)")
    private @Nullable String weights;

    @Mixin
    private ComputeOptions compute;

    @Override
    public Integer call() throws IOException {
        Precision types = types();
        Settings settings = settings();
        Family chosen = Families.byName(family != null ? family : settings.text("model_type"));
        String backend = precision == CasePrecision.F64 ? ComputeOptions.REFERENCE : compute.backend;
        try (ShardedCheckpoint shards = ShardedCheckpoint.open(checkpoint);
                SafetensorsFile states = SafetensorsFile.open(input);
                Kernels kernels = compute.open(backend);
                KernelMemory.Scope scope = kernels.memory().open()) {
            CheckpointTensors tensors =
                    new CheckpointTensors(checkpoint.toString(), shards.names(), name -> tensor(shards, name));
            MoeConfig moe = chosen.config(settings, Tables.of(tensors, prefix(chosen)));
            LayerCheckpoint mapping = new LayerCheckpoint(moe, chosen.layout(settings, moe), kernels.memory());
            mapping.check(tensors, prefix(chosen));
            TensorView view = input(states, moe.hiddenSize());
            try (OpenLayer opened = OpenLayer.open(
                    EvalPath.FUSED,
                    kernels,
                    moe,
                    types,
                    parameters -> mapping.load(tensors, prefix(chosen), parameters))) {
                long tokens = view.elementCount() / moe.hiddenSize();
                Matrix x = scope.allocate(precision.input(), tokens, moe.hiddenSize());
                Matrix y = scope.allocate(precision.input(), tokens, moe.hiddenSize());
                kernels.memory()
                        .copy(
                                Matrix.of(
                                        view.data(),
                                        CaseFile.elementType(view, input.toString()),
                                        tokens,
                                        moe.hiddenSize()),
                                x);
                Routing routing = opened.layer().forward(x, y, options(states, view));
                write(kernels, y, view.shape(), chosen);
                report(chosen, tokens, routing, kernels);
            }
        }
        return Main.DONE;
    }

    private Precision types() {
        if (weights == null) {
            return precision.layer();
        }
        if (!weights.equals(INT8)) {
            throw new BadInput("--weights: expected %s, found \"%s\"".formatted(INT8, weights));
        }
        return precision.layer().withInt8Experts();
    }

    /** The configuration that was named, else the one beside the checkpoint, else the one inside it. */
    private Settings settings() throws IOException {
        if (config != null) {
            return settings(config.toString(), Json.readObject(config));
        }
        Path folder = Files.isDirectory(checkpoint)
                ? checkpoint
                : checkpoint.toAbsolutePath().getParent();
        if (folder != null && Files.isRegularFile(folder.resolve(CONFIG))) {
            Path beside = folder.resolve(CONFIG);
            return settings(beside.toString(), Json.readObject(beside));
        }
        if (Files.isRegularFile(checkpoint) && checkpoint.toString().endsWith(".safetensors")) {
            try (SafetensorsFile file = SafetensorsFile.open(checkpoint)) {
                String inside = file.metadata().get("config");
                if (inside != null) {
                    String source = checkpoint + ": config";
                    return settings(source, Json.parseObject(source, inside));
                }
            }
        }
        throw new BadInput("--config: expected a configuration, found no %s beside %s".formatted(CONFIG, checkpoint));
    }

    private static Settings settings(String source, JsonObject json) {
        return new Settings(source, json.values()).ofText();
    }

    private String prefix(Family chosen) {
        if (layer.matches("\\d+")) {
            return chosen.layerPrefix().replace("{}", layer);
        }
        return layer.isEmpty() || layer.endsWith(".") ? layer : layer + ".";
    }

    private static TensorView tensor(ShardedCheckpoint shards, String name) {
        try {
            return shards.tensor(name);
        } catch (SafetensorsException e) {
            throw BadInput.because(e);
        }
    }

    private TensorView input(SafetensorsFile states, int hiddenSize) throws SafetensorsException {
        String name = tensor;
        if (name == null) {
            if (states.names().size() != 1) {
                throw new BadInput("--tensor: expected a name because %s has %d tensors, found none"
                        .formatted(input, states.names().size()));
            }
            name = states.names().getFirst();
        }
        TensorView view = states.tensor(name);
        long[] shape = view.shape();
        if (shape.length < 1 || shape[shape.length - 1] != hiddenSize) {
            throw new BadInput("%s: tensor %s: expected shape [..., %d], found %s"
                    .formatted(input, name, hiddenSize, Arrays.toString(shape)));
        }
        return view;
    }

    /** With [B, S, H] every row of the batch is a sequence of its own, which families with a capacity per sequence look at. */
    private ForwardOptions options(SafetensorsFile states, TensorView view) throws SafetensorsException {
        long[] shape = view.shape();
        ForwardOptions options = ForwardOptions.evaluation();
        if (shape.length == 3 && shape[0] > 0) {
            options = options.withBatch(Math.toIntExact(shape[0]));
        }
        if (tokenIds == null) {
            return options;
        }
        TensorView ids = states.tensor(tokenIds);
        long tokens = Arrays.stream(shape, 0, shape.length - 1).reduce(1, Math::multiplyExact);
        if (ids.elementCount() != tokens) {
            throw new BadInput("%s: tensor %s: expected one id for each of the %d tokens, found shape %s"
                    .formatted(input, tokenIds, tokens, Arrays.toString(ids.shape())));
        }
        return options.withTokenIds(CaseFile.ints(ids, input.toString()));
    }

    private void write(Kernels kernels, Matrix y, long[] shape, Family chosen) throws SafetensorsException {
        boolean wide = precision == CasePrecision.F64;
        long elements = Math.multiplyExact(y.rows(), y.columns());
        MemorySegment data = wide
                ? MemorySegment.ofArray(new double[Math.toIntExact(elements)])
                : MemorySegment.ofArray(new float[Math.toIntExact(elements)]);
        kernels.memory().copy(y, Matrix.of(data, precision.input(), y.rows(), y.columns()));
        new SafetensorsWriter()
                .metadata("source", "dropless run")
                .metadata("family", chosen.name())
                .metadata("layer", prefix(chosen))
                .metadata("backend", kernels.name())
                .tensor(outputTensor, wide ? TensorType.F64 : TensorType.F32, shape, data)
                .write(output);
    }

    private void report(Family chosen, long tokens, Routing routing, Kernels kernels) {
        PrintWriter out = spec.commandLine().getOut();
        int[] loads = routing.tokensPerExpert();
        out.println(String.format(
                Locale.ROOT,
                "%s layer %s: %,d tokens, %d experts, busiest expert %,d, experts without tokens %d, on %s",
                chosen.name(),
                prefix(chosen).isEmpty() ? "at the top" : prefix(chosen),
                tokens,
                loads.length,
                Arrays.stream(loads).max().orElse(0),
                Arrays.stream(loads).filter(load -> load == 0).count(),
                kernels.name()));
        out.flush();
    }
}
