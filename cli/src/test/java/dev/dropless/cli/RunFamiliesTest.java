package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.cli.cases.Difference;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.safetensors.SafetensorsWriter;
import dev.dropless.safetensors.TensorType;
import dev.dropless.safetensors.TensorView;
import dev.dropless.testdata.TestData;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command {@code run} for every family, from one file and from shards, and what it refuses. */
class RunFamiliesTest {

    private static final Path ORACLE = TestData.path("oracle");
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Their results are those of training; {@code run} evaluates. */
    private static final Set<String> TRAINING =
            Set.of("phimoe/training_recorded_noise.safetensors", "nllb_moe/train_capacity.safetensors");

    @TempDir
    private Path temporary;

    @Test
    void everyFamilyGivesTheStoredOutput() throws IOException {
        Set<String> families = new TreeSet<>();
        int files = 0;
        for (Path file : layers()) {
            if (TRAINING.contains(ORACLE.relativize(file).toString().replace('\\', '/'))) {
                continue;
            }
            try (SafetensorsFile stored = SafetensorsFile.open(file)) {
                String family = stored.metadata().getOrDefault("family", "");
                compare(stored, run(file, stored, "--family", family));
                families.add(family);
                files++;
            }
        }
        assertThat(families).hasSize(37);
        assertThat(files).isEqualTo(107);
    }

    private static List<Path> layers() throws IOException {
        try (Stream<Path> walk = Files.walk(ORACLE)) {
            return walk.filter(path -> path.toString().endsWith(".safetensors"))
                    .filter(path -> !path.getParent()
                            .getFileName()
                            .toString()
                            .matches("topology|aux_losses|block_sparse_matmul"))
                    .sorted()
                    .toList();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "mixtral/64x8_bf16, mixtral",
        "deepseek_v3/groups_64x8_bf16, deepseek_v3",
        "gpt_oss/random, gpt_oss",
        "granitemoeshared/random, granitemoeshared",
        "dbrx/random, dbrx",
        "deepseek_v4/hash, deepseek_v4",
        "longcat_flash/random, longcat_flash"
    })
    void layersAreFoundInShards(String name, String family) throws IOException {
        Path file = ORACLE.resolve(name + ".safetensors");
        try (SafetensorsFile stored = SafetensorsFile.open(file)) {
            String layer = stored.metadata().getOrDefault("layer_prefix", "").replace(".0.", ".7.");
            Path folder = shards(stored, layer);
            Files.writeString(folder.resolve("config.json"), stored.metadata().getOrDefault("config", ""));
            compare(stored, run(folder, stored, "--family", family, "--layer", "7"));
            compare(stored, run(folder, stored, "--family", family, "--layer", layer));
        }
    }

    /** Weights by turns in two shards, among tensors of other layers. */
    private Path shards(SafetensorsFile stored, String layer) throws IOException {
        Path folder = Files.createDirectories(temporary.resolve("checkpoint"));
        List<SafetensorsWriter> writers = List.of(new SafetensorsWriter(), new SafetensorsWriter());
        List<String> index = new ArrayList<>();
        int next = 0;
        for (String name : stored.names()) {
            if (!name.startsWith("case.")) {
                for (String prefix : List.of(layer, layer.replace(".7.", ".77."))) {
                    int shard = next++ % 2;
                    TensorView view = stored.tensor(name);
                    writers.get(shard).tensor(prefix + name, view.type(), view.shape(), view.data());
                    index.add("\"%s\": \"shard-%d.safetensors\"".formatted(prefix + name, shard));
                }
            }
        }
        for (int shard = 0; shard < 2; shard++) {
            writers.get(shard).write(folder.resolve("shard-" + shard + ".safetensors"));
        }
        Files.writeString(
                folder.resolve("model.safetensors.index.json"),
                "{\"metadata\": {}, \"weight_map\": {" + String.join(", ", index) + "}}");
        return folder;
    }

    private Path run(Path checkpoint, SafetensorsFile stored, String... more) {
        Path output = temporary.resolve("y.safetensors");
        List<Object> arguments = new ArrayList<>(List.of("run", "--checkpoint", checkpoint, "--input", stored.path()));
        arguments.addAll(List.of("--tensor", "case.input", "--output", output));
        if (!List.of(more).contains("--precision")) {
            arguments.addAll(List.of("--precision", "f64"));
        }
        if (stored.contains("case.input_ids")) {
            arguments.addAll(List.of("--token-ids", "case.input_ids"));
        }
        arguments.addAll(List.of(more));
        var result = CommandRunner.run(arguments.toArray());
        assertThat(result.err()).as("%s", checkpoint).isEmpty();
        assertThat(result.status()).isZero();
        return output;
    }

    /** A column's largest weight is 127 steps, so that products of some hundred random terms are off by about 1 in 200. */
    @Test
    void expertsIn8BitsAreCloseAndOthersThanInt8AreRefused() throws IOException {
        Path checkpoint = ORACLE.resolve("olmoe/random.safetensors");
        try (SafetensorsFile stored = SafetensorsFile.open(checkpoint)) {
            for (String backend : List.of("cpu", "reference")) {
                Path output = run(
                        checkpoint,
                        stored,
                        "--family",
                        "olmoe",
                        "--precision",
                        "f32",
                        "--backend",
                        backend,
                        "--weights",
                        "int8");
                try (SafetensorsFile computed = SafetensorsFile.open(output)) {
                    double[] y = floats(computed.tensor("output"));
                    double[] expected = stored.tensor("case.output").data().toArray(DOUBLE);
                    assertThat(Difference.of(y, expected).relative()).isBetween(1e-4, 2e-2);
                }
            }
        }
        assertRefused(checkpoint, "olmoe", List.of("--weights", "int4"), "--weights: expected int8, found \"int4\"");
    }

    private static double[] floats(TensorView view) {
        float[] values = view.data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN));
        double[] wide = new double[values.length];
        Arrays.setAll(wide, i -> values[i]);
        return wide;
    }

    private static void compare(SafetensorsFile stored, Path output) throws IOException {
        try (SafetensorsFile computed = SafetensorsFile.open(output)) {
            double[] y = computed.tensor("output").data().toArray(DOUBLE);
            double[] expected = stored.tensor("case.output").data().toArray(DOUBLE);
            assertThat(y).as("%s", stored.path()).hasSameSizeAs(expected);
            assertThat(Difference.of(y, expected).relative())
                    .as("%s", stored.path())
                    .isLessThan(1e-12);
        }
    }

    @Test
    void otherFamiliesTensorsAreRefused() {
        assertRefused(
                ORACLE.resolve("qwen2_moe/random.safetensors"),
                "olmoe",
                "config: intermediate_size: expected a whole number from 1 to 2147483647, found nothing");
        assertRefused(
                ORACLE.resolve("qwen2_moe/random.safetensors"),
                "qwen3_moe",
                "tensor mlp.shared_expert.",
                "expected only the 19 tensors of this family");
        assertRefused(ORACLE.resolve("olmoe/random.safetensors"), "gpt5", "family: expected one of", "found \"gpt5\"");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"num_experts\": 6         | \"num_experts\": 7          | tensor mlp.experts.6.gate_proj.weight: expected shape [40, 24], found no such tensor",
                "\"num_experts\": 6         | \"num_experts\": 5          | tensor mlp.experts.5.",
                "\"num_experts\": 6         | \"num_experts\": \"6\"      | num_experts: expected a whole number from 1 to 2147483647, found \"6\"",
                "\"num_experts_per_tok\": 2 | \"num_experts_per_tok\": 9  | num_experts_per_tok: expected at most the 6 experts there are, found 9",
                "\"hidden_size\": 24        | \"hidden_size\": 32         | tensor mlp.gate.weight: expected shape [6, 32] as the configuration says, found [6, 24]",
                "\"intermediate_size\": 40  | \"intermediate_size\": 20   | tensor mlp.experts.0.gate_proj.weight: expected shape [20, 24] as the configuration says, found [40, 24]",
                "\"hidden_act\": \"silu\"   | \"hidden_act\": \"wish\"    | hidden_act: expected silu, relu, relu2, gelu, gelu_tanh, gelu_new, gelu_pytorch_tanh or linear, found \"wish\"",
            })
    void configurationsThatContradictTheTensorsAreRefused(String original, String changed, String message)
            throws IOException {
        Path source = ORACLE.resolve("olmoe/random.safetensors");
        Path damaged = copy(source, config -> config.replace(original, changed), name -> name, (name, type) -> type);
        assertRefused(damaged, "olmoe", message);
    }

    @Test
    void groupsThatDoNotDivideAreRefused() throws IOException {
        Path source = ORACLE.resolve("deepseek_v3/groups.safetensors");
        Path damaged = copy(
                source,
                config -> config.replace("\"n_group\": 4", "\"n_group\": 5"),
                name -> name,
                (name, type) -> type);
        assertRefused(damaged, "deepseek_v3", "config: n_group: expected a divisor of the 16 experts", "found 5");
    }

    @Test
    void missingAndExtraTensorsAndWrongTypesAreRefused() throws IOException {
        Path source = ORACLE.resolve("olmoe/random.safetensors");
        assertRefused(
                copy(
                        source,
                        config -> config,
                        name -> name.equals("mlp.experts.4.up_proj.weight") ? "" : name,
                        (n, t) -> t),
                "olmoe",
                "tensor mlp.experts.4.up_proj.weight: expected shape [40, 24], found no such tensor");
        assertRefused(
                copy(source, config -> config, name -> name.equals("case.output") ? "mlp.bias" : name, (n, t) -> t),
                "olmoe",
                "tensor mlp.bias: expected only the 19 tensors of this family under mlp., found one more");
        assertRefused(
                copy(
                        source,
                        config -> config,
                        name -> name,
                        (name, type) -> name.equals("mlp.gate.weight") ? TensorType.I32 : type),
                "olmoe",
                "tensor mlp.gate.weight: expected type F64, F32, BF16 or F16, found I32");
    }

    @Test
    void routingByTokenIdNeedsTokenIds() {
        assertRefused(
                ORACLE.resolve("deepseek_v4/hash.safetensors"), "deepseek_v4", "tokenIds: expected one id per token");
    }

    private interface Types {
        TensorType of(String name, TensorType type);
    }

    /** A copy of a case; tensors of name "" are left out. */
    private Path copy(Path source, Function<String, String> config, Function<String, String> names, Types types)
            throws IOException {
        Path target = temporary.resolve("damaged.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(source)) {
            SafetensorsWriter writer = new SafetensorsWriter();
            for (Map.Entry<String, String> entry : file.metadata().entrySet()) {
                boolean isConfig = entry.getKey().equals("config");
                writer.metadata(entry.getKey(), isConfig ? config.apply(entry.getValue()) : entry.getValue());
            }
            for (String name : file.names()) {
                String renamed = names.apply(name);
                if (!renamed.isEmpty()) {
                    TensorView view = file.tensor(name);
                    byte[] bytes = view.data().toArray(ValueLayout.JAVA_BYTE);
                    writer.tensor(renamed, types.of(name, view.type()), view.shape(), MemorySegment.ofArray(bytes));
                }
            }
            writer.write(target);
        }
        return target;
    }

    private void assertRefused(Path checkpoint, String family, String... words) {
        assertRefused(checkpoint, family, List.of(), words);
    }

    private void assertRefused(Path checkpoint, String family, List<String> options, String... words) {
        Path output = temporary.resolve("refused.safetensors");
        List<Object> arguments = new ArrayList<>(List.of(
                "run",
                "--checkpoint",
                checkpoint,
                "--family",
                family,
                "--input",
                checkpoint,
                "--tensor",
                "case.input",
                "--output",
                output));
        arguments.addAll(options);
        var result = CommandRunner.run(arguments.toArray());
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.out()).isEmpty();
        assertThat(result.err().lines())
                .singleElement()
                .asString()
                .startsWith("dropless: ")
                .contains(words);
        assertThat(output).doesNotExist();
    }

    @Test
    void familiesListsAllOfThem() {
        var table = CommandRunner.run("families");
        assertThat(table.status()).isZero();
        assertThat(table.out()).contains("\ngpt_oss ", "\ndeepseek_v3 ", "top-2 sum", "identity experts");
        var one = CommandRunner.run("families", "nemotron_h");
        assertThat(one.out()).contains("backbone.layers.{}.", "moe_latent_size", "mixer.experts.N.up_proj.weight");
        var json = CommandRunner.run("families", "--json");
        assertThat(json.out().lines().filter(line -> line.contains("\"layer_prefix\"")))
                .hasSize(37);
        assertThat(CommandRunner.run("families", "gpt5").status()).isEqualTo(2);
    }
}
