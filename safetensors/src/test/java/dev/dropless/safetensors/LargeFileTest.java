package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Offsets beyond 2^31 and 2^32, in a sparse file that takes a few kilobytes of disk. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "files are not sparse there unless asked")
class LargeFileTest {

    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final long BIG = (1L << 32) + 12;

    @TempDir
    Path dir;

    @Test
    void tensorOfMoreThanFourGibibytesAndOneBehindIt() throws Exception {
        Path file = sparse("big.safetensors", BIG + 8);
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            TensorView big = read.tensor("big");
            assertThat(big.elementCount()).isEqualTo(BIG);
            assertThat(big.data().byteSize()).isEqualTo(BIG);
            assertThat(big.data().get(ValueLayout.JAVA_BYTE, BIG - 1)).isZero();
            assertThat(read.tensor("last").data().get(I64, 0)).isEqualTo(0x0123456789abcdefL);

            // The writer's offsets pass 2^31 as well; the source stops before anything large is written.
            MemorySegment data = big.data();
            SafetensorsWriter writer = new SafetensorsWriter()
                    .tensor("big", TensorType.U8, new long[] {BIG}, sink -> {
                        sink.write(data.asSlice(BIG - 4, 4));
                        throw new IOException("stopped");
                    })
                    .tensor(
                            "last",
                            TensorType.I64,
                            new long[] {},
                            read.tensor("last").data());
            Path copy = dir.resolve("copy.safetensors");
            assertThatThrownBy(() -> writer.write(copy))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(copy + ": cannot be written, tensor \"big\": stopped");
            assertThat(copy).doesNotExist();
        }
    }

    @Test
    void oneByteShort() throws Exception {
        Path file = sparse("short.safetensors", BIG + 7);
        assertThatThrownBy(() -> SafetensorsFile.open(file))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageContaining("tensor \"last\": data_offsets [4294967308, 4294967316] reach beyond the file");
    }

    private Path sparse(String name, long dataLength) throws IOException {
        assumeThat(Files.getFileStore(dir).getUsableSpace())
                .as("room should the file system not support sparse files")
                .isGreaterThan(2 * BIG);
        String header = "{" + Bytes.entry("big", "U8", "[" + BIG + "]", "[0," + BIG + "]") + ","
                + Bytes.entry("last", "I64", "[]", "[" + BIG + "," + (BIG + 8) + "]") + "}";
        Path path = dir.resolve(name);
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.write(Bytes.prefix(header.length()));
            file.write(header.getBytes(StandardCharsets.UTF_8));
            long dataStart = file.getFilePointer();
            file.setLength(dataStart + dataLength);
            if (dataLength == BIG + 8) {
                file.seek(dataStart + BIG);
                file.writeLong(Long.reverseBytes(0x0123456789abcdefL));
            }
        }
        return path;
    }
}
