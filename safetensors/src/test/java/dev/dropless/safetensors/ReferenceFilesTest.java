package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that the format's own Python implementation wrote. */
class ReferenceFilesTest {

    private static final ValueLayout.OfDouble F64 =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @TempDir
    Path dir;

    @ParameterizedTest
    @CsvSource({"balance_1layer,3,aux_loss", "switch_balance_and_z,6,aux_loss", "zero_tokens,44,topology"})
    void everyTensorIsReadAndSurvivesACopy(String name, int tensors, String kind) throws Exception {
        Path copy = dir.resolve("copy.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(resource(name))) {
            assertThat(file.names()).hasSize(tensors);
            assertThat(file.metadata()).containsEntry("format", "moe-oracle-1").containsEntry("kind", kind);
            SafetensorsWriter writer = new SafetensorsWriter();
            file.metadata().forEach(writer::metadata);
            for (String tensor : file.names()) {
                writer.tensor(file.tensor(tensor));
            }
            writer.write(copy);
            try (SafetensorsFile again = SafetensorsFile.open(copy)) {
                assertThat(again.metadata()).isEqualTo(file.metadata());
                assertThat(again.names()).isEqualTo(file.names());
                for (String tensor : file.names()) {
                    assertThat(again.tensor(tensor).toString())
                            .isEqualTo(file.tensor(tensor).toString());
                    assertThat(Bytes.of(again.tensor(tensor))).isEqualTo(Bytes.of(file.tensor(tensor)));
                }
            }
        }
        assertThat(Files.size(copy)).isEqualTo(Files.size(resource(name)));
    }

    /** The router z-loss of Switch Transformers (mean squared log-sum-exp), from the file's logits. */
    @Test
    void storedLossFollowsFromStoredLogits() throws Exception {
        try (SafetensorsFile file = SafetensorsFile.open(resource("switch_balance_and_z"))) {
            TensorView logits = file.tensor("router_logits");
            assertThat(logits.shape()).containsExactly(3, 12, 6);
            MemorySegment data = logits.data();
            double sum = 0;
            for (int token = 0; token < 36; token++) {
                double exponentials = 0;
                for (int expert = 0; expert < 6; expert++) {
                    exponentials += Math.exp(data.get(F32, 4L * (token * 6 + expert)));
                }
                sum += Math.pow(Math.log(exponentials), 2);
            }
            double stored = file.tensor("z_loss").data().get(F64, 0);
            assertThat(sum / 36).isBetween(stored * (1 - 1e-12), stored * (1 + 1e-12));

            MemorySegment chosen = file.tensor("expert_indices").data();
            for (int token = 0; token < 36; token++) {
                assertThat(chosen.get(I64, 8L * token)).isBetween(0L, 5L);
            }
        }
    }

    private static Path resource(String name) throws URISyntaxException {
        return Path.of(
                Objects.requireNonNull(ReferenceFilesTest.class.getResource("/reference/" + name + ".safetensors"))
                        .toURI());
    }
}
