package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsWriterTest {

    @TempDir
    Path dir;

    private Path target;

    @BeforeEach
    void setUp() {
        target = dir.resolve("model.safetensors");
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void nothingRemainsOfAFailure(boolean targetExists) throws Exception {
        byte[] before = {1, 2, 3};
        if (targetExists) {
            Files.write(target, before);
        }
        RuntimeException bug = new IllegalStateException("bug of the caller");
        assertThatThrownBy(() -> withSource(sink -> {
                            sink.write(Bytes.counting(4));
                            throw bug;
                        })
                        .write(target))
                .isSameAs(bug);
        assertThatThrownBy(() -> withSource(sink -> {
                            throw new IOException("disk\nfell out");
                        })
                        .write(target))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(target + ": cannot be written, tensor \"late\": disk\\u000afell out");
        assertThatThrownBy(() -> withSource(sink -> {
                            throw new NoSuchFileException("elsewhere");
                        })
                        .write(target))
                .hasMessageContaining("tensor \"late\"")
                .hasMessageContaining("elsewhere");
        assertThatThrownBy(
                        () -> withSource(sink -> sink.write(Bytes.counting(7))).write(target))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(target + ": tensor \"late\": expected 8 bytes from its source, found 7");
        assertThatThrownBy(() -> withSource(sink -> {
                            sink.write(Bytes.counting(5));
                            sink.write(Bytes.counting(4));
                        })
                        .write(target))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(target + ": tensor \"late\": expected 8 bytes from its source, found more");
        assertThatThrownBy(() -> withSource(sink -> {}).write(target)).isInstanceOf(SafetensorsException.class);

        assertThat(list()).isEqualTo(targetExists ? List.of(target) : List.of());
        if (targetExists) {
            assertThat(Files.readAllBytes(target)).isEqualTo(before);
        }
    }

    @Test
    void targetChangesOnlyWhenTheLastByteIsThere() throws Exception {
        byte[] before = {1, 2, 3};
        Files.write(target, before);
        SafetensorsWriter writer = withSource(sink -> {
            sink.write(Bytes.counting(8));
            assertThat(Files.readAllBytes(target)).isEqualTo(before);
        });
        writer.write(target);
        assertThat(list()).containsExactly(target);
        try (SafetensorsFile read = SafetensorsFile.open(target)) {
            assertThat(Bytes.of(read.tensor("late")))
                    .isEqualTo(Bytes.counting(8).toArray(ValueLayout.JAVA_BYTE));
        }
    }

    @Test
    void piecesAndHeapArraysLargerThanTheStagingBuffer() throws Exception {
        float[] floats = new float[700_001];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = i;
        }
        MemorySegment segment = MemorySegment.ofArray(floats);
        new SafetensorsWriter()
                .tensor("whole", TensorType.F32, new long[] {floats.length}, segment)
                .tensor("pieces", TensorType.F32, new long[] {floats.length}, sink -> {
                    for (long from = 0; from < segment.byteSize(); from += 99_999) {
                        sink.write(segment.asSlice(from, Math.min(99_999, segment.byteSize() - from)));
                    }
                })
                .write(target);
        try (SafetensorsFile read = SafetensorsFile.open(target)) {
            assertThat(read.tensor("whole").data().mismatch(segment)).isEqualTo(-1);
            assertThat(read.tensor("pieces").data().mismatch(segment)).isEqualTo(-1);
        }
    }

    @Test
    void badTargets() throws Exception {
        SafetensorsWriter writer = new SafetensorsWriter();
        assertThatThrownBy(() -> writer.write(dir))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir + ": expected a file, found a directory");
        Path nowhere = dir.resolve("no/such/file");
        assertThatThrownBy(() -> writer.write(nowhere))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(nowhere + ": expected an existing directory, found none");
        assertThat(list()).isEmpty();

        Path locked = Files.createDirectory(dir.resolve("locked"));
        assumeThat(locked.toFile().setWritable(false)).isTrue();
        assumeThat(Files.isWritable(locked))
                .as("a superuser may write everywhere")
                .isFalse();
        assertThatThrownBy(() -> writer.write(locked.resolve("f")))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(locked.resolve("f") + ": permission denied");
    }

    @Test
    void dataBeginsAtAMultipleOfEightWhateverTheHeader() throws Exception {
        for (int length = 0; length < 9; length++) {
            new SafetensorsWriter()
                    .metadata("k", "x".repeat(length))
                    .tensor("t", TensorType.U8, new long[] {1}, Bytes.counting(1))
                    .write(target);
            byte[] bytes = Files.readAllBytes(target);
            assertThat((bytes.length - 1) % 8).isZero();
            assertThat(bytes[0] + 256 * bytes[1]).isEqualTo(bytes.length - 9);
        }
    }

    @Test
    void wrongArguments() {
        SafetensorsWriter writer =
                new SafetensorsWriter().metadata("k", "v").tensor("t", TensorType.U8, new long[] {}, Bytes.counting(1));
        MemorySegment one = Bytes.counting(1);
        long[] scalar = {};
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("t", TensorType.U8, scalar, one))
                .withMessage("name: expected a new tensor name, found again \"t\"");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("__metadata__", TensorType.U8, scalar, one))
                .withMessageContaining("reserved");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("\ud800", TensorType.U8, scalar, one))
                .withMessageContaining("surrogate");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.metadata("k", "w"))
                .withMessageContaining("found \"k\" again");
        assertThatIllegalArgumentException().isThrownBy(() -> writer.metadata("l", "\udc00"));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("u", TensorType.F32, new long[] {2}, one))
                .withMessage("data: expected 8 bytes for F32[2], found 1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("u", TensorType.F32, new long[] {-1}, one))
                .withMessage("shape: expected non-negative dimensions, found [-1]");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("u", TensorType.U8, new long[] {Long.MAX_VALUE}, sink -> {}))
                .withMessageContaining("more with [9223372036854775807]");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> writer.tensor("u", TensorType.F64, new long[] {1L << 60}, sink -> {}))
                .withMessageContaining("F64[1152921504606846976]");
    }

    @Test
    void shapeIsCopied() throws Exception {
        long[] shape = {3};
        SafetensorsWriter writer = new SafetensorsWriter().tensor("t", TensorType.U8, shape, Bytes.counting(3));
        Arrays.fill(shape, 7);
        writer.write(target);
        try (SafetensorsFile read = SafetensorsFile.open(target)) {
            assertThat(read.tensor("t").shape()).containsExactly(3);
        }
    }

    private static SafetensorsWriter withSource(TensorSource source) {
        return new SafetensorsWriter()
                .tensor("early", TensorType.U8, new long[] {5}, Bytes.counting(5))
                .tensor("late", TensorType.F64, new long[] {1}, source);
    }

    private List<Path> list() throws IOException {
        try (Stream<Path> files = Files.list(dir)) {
            return files.toList();
        }
    }
}
