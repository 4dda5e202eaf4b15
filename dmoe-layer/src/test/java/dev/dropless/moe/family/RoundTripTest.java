package dev.dropless.moe.family;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.Precision;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Loading a checkpoint and exporting it again gives the same names, shapes and bytes. */
class RoundTripTest {

    private static final String PREFIX = "some.prefix.7.";

    static Stream<Arguments> familiesAndTypes() {
        return Families.all().stream()
                .flatMap(family -> Stream.of(ElementType.F32, ElementType.BF16, ElementType.F16)
                        .flatMap(type -> Stream.of("reference", "cpu")
                                .map(backend -> Arguments.of(family.name(), type, backend))));
    }

    @ParameterizedTest
    @MethodSource("familiesAndTypes")
    void exportGivesBackWhatWasLoaded(String name, ElementType type, String backend) {
        Family family = Families.byName(name);
        Settings settings = family.example();
        roundTrip(family, settings, family.config(settings, Tables.NONE), type, backend);
    }

    @Test
    void tablesAreExportedToo() {
        Family family = Families.byName("deepseek_v4");
        Map<String, Object> values =
                new java.util.LinkedHashMap<>(family.example().values());
        values.put("mlp_layer_types", List.of("hash_moe"));
        Settings settings = new Settings("test", values);
        MemoryCheckpoint tables = new MemoryCheckpoint();
        int[] table = new int[32 * 2];
        java.util.Arrays.setAll(table, i -> (i * 7 + i / 2) % 4);
        tables.table(PREFIX + "mlp.gate.tid2eid", 32, 2, table);
        MoeConfig config = family.config(settings, Tables.of(tables, PREFIX));
        MemoryCheckpoint exported = roundTrip(family, settings, config, ElementType.F32, "reference");
        assertThat(exported.table(PREFIX + "mlp.gate.tid2eid", 32, 2)).isEqualTo(table);
    }

    private static MemoryCheckpoint roundTrip(
            Family family, Settings settings, MoeConfig config, ElementType type, String backend) {
        Layout layout = family.layout(settings, config);
        MemoryCheckpoint stored = MemoryCheckpoint.random(config, layout, PREFIX, type, 5);
        MemoryCheckpoint exported = new MemoryCheckpoint();
        Precision precision = backend.equals("reference") ? Precision.F64 : Precision.F32;
        try (Kernels kernels = Backends.byName(backend).open(BackendOptions.threads(1));
                MoeParameters parameters = new MoeParameters(kernels, config, precision)) {
            LayerCheckpoint checkpoint = new LayerCheckpoint(config, layout, kernels.memory());
            checkpoint.load(stored, PREFIX, parameters);
            checkpoint.export(parameters, PREFIX, tensor -> type, exported);
        }
        assertThat(exported.names()).containsExactlyInAnyOrderElementsOf(stored.names());
        for (String tensor : stored.tensors.keySet()) {
            assertThat(exported.tensor(tensor).shape())
                    .as(tensor)
                    .isEqualTo(stored.tensor(tensor).shape());
            assertThat(exported.bytes(tensor)).as(tensor).isEqualTo(stored.bytes(tensor));
        }
        return exported;
    }
}
