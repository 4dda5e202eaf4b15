package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RoundTripTest {

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final List<long[]> SHAPES =
            List.of(new long[] {}, new long[] {1}, new long[] {0}, new long[] {3, 0, 5}, new long[] {2, 3, 5});

    @TempDir
    Path dir;

    @ParameterizedTest
    @EnumSource
    void everyTypeInEveryKindOfShape(TensorType type) throws Exception {
        Path file = dir.resolve("all.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter();
        for (int i = 0; i < SHAPES.size(); i++) {
            long[] shape = SHAPES.get(i);
            writer.tensor("t" + i, type, shape, Bytes.counting((int) type.byteSize(shape)));
        }
        writer.write(file);
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).containsExactly("t0", "t1", "t2", "t3", "t4");
            assertThat(read.metadata()).isEmpty();
            for (int i = 0; i < SHAPES.size(); i++) {
                TensorView tensor = read.tensor("t" + i);
                long[] shape = SHAPES.get(i);
                int bytes = (int) type.byteSize(shape);
                assertThat(tensor.name()).isEqualTo("t" + i);
                assertThat(tensor.type()).isEqualTo(type);
                assertThat(tensor.shape()).isEqualTo(shape);
                assertThat(tensor.elementCount()).isEqualTo(bytes / type.byteSize());
                assertThat(Bytes.of(tensor)).isEqualTo(Bytes.counting(bytes).toArray(ValueLayout.JAVA_BYTE));
            }
        }
    }

    @Test
    void noTensorsAtAll() throws Exception {
        Path file = dir.resolve("none.safetensors");
        new SafetensorsWriter().write(file);
        assertThat(Files.readAllBytes(file)).isEqualTo(Bytes.file("{}      ", 0));
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).isEmpty();
            assertThatThrownBy(() -> read.tensor("w")).hasMessage(file + ": expected tensor \"w\", there are none");
        }
    }

    @Test
    void namesAndMetadataOfAnyUnicode() throws Exception {
        List<String> names =
                List.of("", " ", "größe", "専門家.重み", "\uD83D\uDE80", "a\"b\\c", "line\nbreak\u0000", "‮rtl");
        SafetensorsWriter writer = new SafetensorsWriter();
        for (String name : names) {
            writer.tensor(name, TensorType.U8, new long[] {3}, Bytes.counting(3));
            writer.metadata(name, name + "!");
        }
        Path file = dir.resolve("unicode.safetensors");
        writer.write(file);
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).containsExactlyElementsOf(names);
            assertThat(new ArrayList<>(read.metadata().keySet())).containsExactlyElementsOf(names);
            assertThat(read.metadata()).containsEntry("größe", "größe!");
            assertThatThrownBy(() -> read.tensor("line\nbreak"))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(file + ": expected tensor \"line\\u000abreak\", found 8: \"line\\u000abreak\\u0000\", "
                            + "\"\", \" \", \"größe\", \"専門家.重み\", \"\uD83D\uDE80\" and 2 more");
        }
    }

    @Test
    void bytesOfTheFileAreThoseOfTheFormat() throws Exception {
        Path file = dir.resolve("exact.safetensors");
        writerOfTwo().write(file);
        String header = "{\"__metadata__\":{\"k\":\"v\"},"
                + Bytes.entry("b", "F32", "[2]", "[0,8]") + ","
                + Bytes.entry("a", "BF16", "[]", "[8,10]") + "}";
        String padded = header + " ".repeat((8 - header.length() % 8) % 8);
        ByteBuffer expected = ByteBuffer.allocate(8 + padded.length() + 10).order(ByteOrder.LITTLE_ENDIAN);
        expected.putLong(padded.length()).put(padded.getBytes(StandardCharsets.UTF_8));
        expected.putFloat(1.5f).putFloat(-2f).putShort((short) 0x3f80);
        assertThat(Files.readAllBytes(file)).isEqualTo(expected.array());

        Path again = dir.resolve("again.safetensors");
        writerOfTwo().write(again);
        assertThat(Files.mismatch(file, again)).isEqualTo(-1);
    }

    @Test
    void valuesAtUnalignedAddresses() throws Exception {
        Path file = dir.resolve("unaligned.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment floats = arena.allocate(12);
            for (int i = 0; i < 3; i++) {
                floats.set(F32, 4L * i, 0.25f * i);
            }
            new SafetensorsWriter()
                    .tensor("odd", TensorType.BOOL, new long[] {3}, Bytes.counting(3))
                    .tensor("floats", TensorType.F32, new long[] {3, 1}, floats)
                    .write(file);
        }
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            MemorySegment floats = read.tensor("floats").data();
            assertThat(floats.isReadOnly()).isTrue();
            assertThat(floats.get(F32, 8)).isEqualTo(0.5f);
        }
    }

    @Test
    void copyOfATensorOfAnotherFileEvenOntoThatFile() throws Exception {
        Path file = dir.resolve("copy.safetensors");
        writerOfTwo().write(file);
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            new SafetensorsWriter().tensor(read.tensor("a")).write(file);
            assertThat(read.tensor("b").data().get(F32, 4)).isEqualTo(-2f);
        }
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).containsExactly("a");
            assertThat(Bytes.of(read.tensor("a"))).containsExactly(0x80, 0x3f);
        }
    }

    @Test
    void closingEndsEveryView() throws Exception {
        Path file = dir.resolve("closed.safetensors");
        writerOfTwo().write(file);
        SafetensorsFile read = SafetensorsFile.open(file);
        TensorView view = read.tensor("b");
        assertThat(view.toString()).isEqualTo("\"b\" F32[2]");
        view.shape()[0] = 99;
        assertThat(view.shape()).containsExactly(2);
        assertThat(read.metadata()).isEqualTo(Map.of("k", "v"));
        read.close();
        read.close();
        assertThatThrownBy(() -> read.tensor("b")).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> view.data().get(F32, 0)).isInstanceOf(IllegalStateException.class);
    }

    private static SafetensorsWriter writerOfTwo() {
        ByteBuffer floats = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        floats.putFloat(1.5f).putFloat(-2f).flip();
        return new SafetensorsWriter()
                .tensor("b", TensorType.F32, new long[] {2}, MemorySegment.ofBuffer(floats))
                .metadata("k", "v")
                .tensor("a", TensorType.BF16, new long[] {}, MemorySegment.ofArray(new byte[] {(byte) 0x80, 0x3f}));
    }
}
