package dev.dropless.moe.family;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.Precision;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Declarations, and what is refused with which words. */
class FamiliesTest {

    /** Keys of every DeepSeek-V2 configuration of which only DeepSeek's own code makes a loss. */
    private static final Set<String> UNREAD = Set.of("deepseek_v2.aux_loss_alpha", "deepseek_v2.seq_aux");

    static Stream<String> names() {
        return Families.all().stream().map(Family::name);
    }

    @Test
    void namesDifferAndThereAreThirtySeven() {
        assertThat(names()).doesNotHaveDuplicates().hasSize(37);
    }

    @Test
    void unknownFamilyIsRefusedWithTheListOfThoseThereAre() {
        assertThatThrownBy(() -> Families.byName("mixtrel"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("family: expected one of mixtral, ")
                .hasMessageEndingWith("found \"mixtrel\"");
    }

    /** The example is the list of keys that users are shown, so it must be what the declaration reads. */
    @ParameterizedTest
    @MethodSource("names")
    void exampleHasEveryKeyThatIsRead(String name) {
        Family family = Families.byName(name);
        Map<String, ?> values = family.example().values();
        Set<String> read = new HashSet<>();
        Settings recording = new Settings("test", new HashMap<String, @Nullable Object>(values) {
            @Override
            public @Nullable Object get(@Nullable Object key) {
                read.add(String.valueOf(key));
                return super.get(key);
            }
        });
        MoeConfig config = family.config(recording, Tables.NONE);
        family.layout(recording, config);
        family.losses(recording);
        Set<String> missing = new HashSet<>(read);
        missing.removeAll(values.keySet());
        // keys of other spellings that a declaration looks for before it takes the one it has
        missing.removeAll(Set.of("num_local_experts", "num_experts", "moe_intermediate_size", "hidden_act"));
        assertThat(missing).isEmpty();
        if (read.contains("hidden_act") && !values.containsKey("hidden_act")) {
            return; // the rest is read from a copy with a default
        }
        assertThat(read)
                .containsAll(values.keySet().stream()
                        .filter(key -> !UNREAD.contains(name + "." + key))
                        .toList());
    }

    static Stream<Arguments> requiredSizes() {
        return Families.all().stream()
                .flatMap(family -> family.example().values().entrySet().stream()
                        .filter(entry -> entry.getValue() instanceof Integer size && size > 2)
                        .map(entry -> Arguments.of(family.name(), entry.getKey())));
    }

    @ParameterizedTest
    @MethodSource("requiredSizes")
    void everySizeMustBeAWholeNumber(String name, String key) {
        assertRefused(name, key, "many", "test: " + key + ": expected ", ", found \"many\"");
        assertRefused(name, key, -3, "test: " + key + ": expected ", ", found -3");
        assertRefused(name, key, 2.5, "test: " + key + ": expected ", ", found 2.5");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "mixtral      | num_experts_per_tok | 5        | at most the 4 experts there are   | 5",
                "mixtral      | hidden_act          | wish     | silu, relu, relu2, gelu           | \"wish\"",
                "olmoe        | norm_topk_prob      | 1        | true or false                     | 1",
                "phimoe       | num_experts_per_tok | 3        | 2                                 | 3",
                "deepseek_v2  | topk_method         | noaux_tc | greedy or group_limited_greedy    | \"noaux_tc\"",
                "deepseek_v2  | n_group             | 3        | a divisor of the 4 experts        | 3",
                "deepseek_v2  | topk_group          | 3        | at most n_group = 2               | 3",
                "deepseek_v3  | n_group             | 4        | with groups of 2 or more          | 4",
                "deepseek_v3  | n_group             | 3        | a divisor of the 4 experts        | 3",
                "deepseek_v3  | scoring_func        | softmax  | \"sigmoid\"                       | \"softmax\"",
                "deepseek_v3  | num_experts_per_tok | 7        | at most the 4 experts there are   | 7",
                "deepseek_v4  | scoring_func        | softmax  | \"sqrtsoftplus\"                  | \"softmax\"",
                "cohere2_moe  | expert_selection_fn | top      | softmax or sigmoid                | \"top\"",
                "nllb_moe     | second_expert_policy| sampling | all or random                     | \"sampling\"",
                "longcat_flash| moe_topk            | 7        | at most the 6 experts there are   | 7",
                "megablocks_moe|mlp_type            | glu      | \"mlp\" in a layer with capacity  | \"glu\"",
                "dbrx         | ffn_config          | 3        | an object                         | 3"
            })
    void valuesThatTheFamilyCannotHave(String name, String key, String value, String expected, String found) {
        Object parsed = value.matches("\\d+") ? (Object) Integer.valueOf(value) : value;
        assertRefused(name, key, parsed, "test: " + key + ": expected ", expected, "found " + found);
    }

    @Test
    void tableAndLayerTypeMustAgree() {
        assertRefused("deepseek_v4", "mlp_layer_types", List.of("hash_moe"), "test: mlp_layer_types: expected \"moe\"");
    }

    @Test
    void aMissingKeyIsNamed() {
        Map<String, Object> values =
                new LinkedHashMap<>(Families.byName("olmoe").example().values());
        values.remove("num_experts");
        assertThatThrownBy(() -> Families.byName("olmoe").config(new Settings("test", values), Tables.NONE))
                .hasMessage("test: num_experts: expected a whole number from 1 to 2147483647, found nothing");
    }

    private static void assertRefused(String name, String key, Object value, String... words) {
        Family family = Families.byName(name);
        Map<String, Object> values = new LinkedHashMap<>(family.example().values());
        values.put(key, value);
        assertThatThrownBy(() -> family.config(new Settings("test", values), Tables.NONE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(words);
    }

    @Test
    void tensorsThatAreMissingExtraOrOfAnotherShapeAreNamed() {
        Family family = Families.byName("mixtral");
        String gate = "p.block_sparse_moe.gate.weight";
        String expert = "p.block_sparse_moe.experts.1.w3.weight";
        assertLoadRefused(
                family, 4, c -> c.tensors.remove(gate), "tensor " + gate + ": expected shape [4, 8], found no");
        assertLoadRefused(
                family, 4, c -> c.tensors.remove(expert), "tensor " + expert + ": expected shape [12, 8], found no");
        assertLoadRefused(
                family,
                4,
                c -> c.put(expert, ElementType.F32, List.of(8L, 12L), new SplittableRandom(1)),
                "tensor " + expert + ": expected shape [12, 8] as the configuration says, found [8, 12]");
        assertLoadRefused(
                family,
                4,
                c -> c.put("p.block_sparse_moe.bias", ElementType.F32, List.of(8L), new SplittableRandom(1)),
                "tensor p.block_sparse_moe.bias: expected only the 13 tensors");
        assertLoadRefused(
                family,
                4,
                c -> {
                    c.tensors.remove(gate);
                    c.table(gate, 4, 8, new int[32]);
                },
                "tensor " + gate + ": expected floating point");
    }

    @Test
    void anotherNumberOfExpertsThanTheConfigurationSaysIsRefused() {
        Family family = Families.byName("mixtral");
        assertLoadRefused(
                family, 3, c -> {}, "tensor p.block_sparse_moe.experts.3.w1.weight: expected only the 10 tensors");
        assertLoadRefused(
                family, 5, c -> {}, "tensor p.block_sparse_moe.experts.4.w1.weight: expected shape [12, 8], found no");
    }

    private static void assertLoadRefused(
            Family family, int experts, java.util.function.Consumer<MemoryCheckpoint> damage, String message) {
        Settings settings = family.example();
        MoeConfig config = family.config(settings, Tables.NONE);
        MemoryCheckpoint stored =
                MemoryCheckpoint.random(config, family.layout(settings, config), "p.", ElementType.F32, 3);
        damage.accept(stored);
        Map<String, Object> values = new LinkedHashMap<>(settings.values());
        values.put("num_local_experts", experts);
        Settings other = new Settings("test", values);
        MoeConfig claimed = family.config(other, Tables.NONE);
        try (Kernels kernels = Backends.byName("reference").open(BackendOptions.threads(1));
                MoeParameters parameters = new MoeParameters(kernels, claimed, Precision.F64)) {
            LayerCheckpoint checkpoint = new LayerCheckpoint(claimed, family.layout(other, claimed), kernels.memory());
            assertThatThrownBy(() -> checkpoint.load(stored, "p.", parameters))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(message);
        }
    }
}
