package dev.dropless.safetensors;

import static dev.dropless.safetensors.Bytes.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every fault of a file gives one line that names the file and the fault. */
class HostileFileTest {

    private static final String MAX = Long.toString(Long.MAX_VALUE);

    @TempDir
    Path dir;

    @ParameterizedTest(name = "{1}")
    @MethodSource({"frames", "json", "entries", "layouts"})
    void isRefused(byte[] bytes, String problem) throws Exception {
        Path file = Bytes.write(dir.resolve("bad.safetensors"), bytes);
        assertThatThrownBy(() -> SafetensorsFile.open(file).close())
                .isInstanceOf(SafetensorsException.class)
                .hasMessageStartingWith(file + ": ")
                .hasMessageContaining(problem)
                .satisfies(e -> assertThat(e.getMessage().chars()).noneMatch(Character::isISOControl))
                .satisfies(e -> assertThat(e.getMessage())
                        .hasSizeLessThan(dir.toString().length() + 500));
    }

    static Stream<Arguments> frames() {
        byte[] valid = Bytes.file("{" + entry("a", "U8", "[4]", "[0,4]") + "}", 4);
        byte[] object = {'{', '}'};
        return Stream.of(
                arguments(new byte[0], "expected at least 8 bytes, found 0"),
                arguments(new byte[7], "expected at least 8 bytes, found 7"),
                arguments(Bytes.prefix(0), "expected a header of 1 to 100000000 bytes, found length 0;"),
                arguments(Bytes.file(100_000_001, object, 0), "found length 100000001;"),
                arguments(Bytes.file(Long.MAX_VALUE, object, 0), "found length 9223372036854775807;"),
                arguments(Bytes.file(-1, object, 0), "found length 18446744073709551615;"),
                arguments(Bytes.file(Long.MIN_VALUE, object, 0), "found length 9223372036854775808;"),
                arguments(
                        Bytes.file(3, object, 0),
                        "expected a header of 3 bytes, found only 2 bytes after its length; is the file truncated?"),
                arguments(Bytes.file(100_000_000, object, 0), "expected a header of 100000000 bytes, found only 2"),
                arguments(Arrays.copyOf(valid, valid.length - 1), "is it truncated?"),
                arguments(Arrays.copyOf(valid, valid.length + 1), "expected 4 bytes of tensor data, found 5"));
    }

    static Stream<Arguments> json() {
        String a = entry("a", "U8", "[]", "[0,1]");
        return Stream.of(
                arguments(Bytes.file(new byte[] {'{', '"', (byte) 0xff, '"', '}'}, 0), "first bad byte at offset 2"),
                // An overlong encoding of '/', which lenient decoders accept.
                arguments(Bytes.file(new byte[] {'{', '"', (byte) 0xc0, (byte) 0xaf, '"', '}'}, 0), "is not UTF-8"),
                arguments(Bytes.file("{}".getBytes(StandardCharsets.UTF_16LE), 0), "header is not valid JSON"),
                arguments(Bytes.file("hello", 0), "begin with '{', found \"hello\""),
                arguments(Bytes.file("[]", 0), "begin with '{', found \"[]\""),
                arguments(Bytes.file(" {}", 0), "begin with '{', found \" {}\""),
                arguments(Bytes.file("\uFEFF{}", 0), "begin with '{', found \"\\ufeff{}\""),
                arguments(Bytes.file("{", 0), "header is not valid JSON at line 1, column 2"),
                arguments(Bytes.file("{" + a, 1), "header is not valid JSON at line 1"),
                arguments(Bytes.file("{" + a + ",}", 1), "header is not valid JSON at line 1"),
                arguments(Bytes.file("{/**/}", 0), "header is not valid JSON at line 1"),
                arguments(Bytes.file("{a:1}", 0), "header is not valid JSON at line 1"),
                arguments(Bytes.file("{}x", 0), "header is not valid JSON at line 1, column 3"),
                arguments(Bytes.file("{}\0", 0), "header is not valid JSON at line 1, column 4"),
                arguments(
                        Bytes.file("{} {}", 0),
                        "expected nothing after the JSON value, found more at line 1, column 4"),
                arguments(Bytes.file("{" + a + "," + a + "}", 1), "Duplicate field 'a'"),
                arguments(Bytes.file("{" + a + ",\"\\u0061\":{}}", 1), "Duplicate field 'a'"),
                arguments(Bytes.file("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "Duplicate field '__metadata__'"),
                arguments(Bytes.file("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0), "Duplicate field 'k'"),
                arguments(Bytes.file("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0), "Duplicate field 'dtype'"),
                arguments(Bytes.file("{\"a\n\":{}}", 0), "header is not valid JSON at line 1"),
                arguments(Bytes.file("{\"\\ud800\":{}}", 0), "Broken surrogate pair"),
                arguments(
                        Bytes.file("{\"__metadata__\":{\"k\":\"\\udfff\"}}", 0),
                        "unpaired surrogate in string \"\\udfff\""),
                arguments(Bytes.file("{\"a\":" + "[".repeat(100_000), 0), "expected an object with dtype"),
                arguments(Bytes.file("{\"a\":" + "{\"a\":".repeat(100_000), 0), "found field \"a\""),
                arguments(Bytes.file("{\"" + "n".repeat(60_000) + "\":1}", 0), "header is not valid JSON"));
    }

    static Stream<Arguments> entries() {
        String tail = ",\"shape\":[],\"data_offsets\":[0,1]}}";
        return Stream.of(
                arguments(
                        Bytes.file("{\"__metadata__\":[]}", 0),
                        "__metadata__: expected an object of strings, found an array"),
                arguments(
                        Bytes.file("{\"__metadata__\":null}", 0),
                        "__metadata__: expected an object of strings, found null"),
                arguments(
                        Bytes.file("{\"__metadata__\":{\"k\":1}}", 0),
                        "__metadata__: value of \"k\": expected a string, found 1"),
                arguments(
                        Bytes.file("{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0),
                        "expected a string, found an object"),
                arguments(Bytes.file("{\"a\":[]}", 0), "tensor \"a\": expected an object with dtype"),
                arguments(Bytes.file("{\"a\":null}", 0), "tensor \"a\": expected an object with dtype"),
                arguments(
                        Bytes.file("{\"a\":{}}", 0),
                        "tensor \"a\": expected dtype, shape and data_offsets, found no dtype"),
                arguments(Bytes.file("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1), "found no shape"),
                arguments(Bytes.file("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1), "found no data_offsets"),
                arguments(Bytes.file("{\"a\":{\"stride\":1,\"dtype\":\"U8\"" + tail, 1), "found field \"stride\""),
                arguments(
                        Bytes.file("{\"a\":{\"dtype\":7" + tail, 1), "tensor \"a\": dtype: expected a string, found 7"),
                arguments(
                        Bytes.file("{" + entry("w.0", "F4", "[2]", "[0,1]") + "}", 1),
                        "tensor \"w.0\": dtype: expected one of"),
                arguments(Bytes.file("{" + entry("a", "f32", "[1]", "[0,4]") + "}", 4), "found \"f32\""),
                arguments(shape("null"), "tensor \"a\": shape: expected an array of non-negative integers, found null"),
                arguments(shape("{}"), "shape: expected an array of non-negative integers, found an object"),
                arguments(shape("[-1]"), "shape: expected integers from 0 to 2^63-1, found -1"),
                arguments(shape("[-0]"), "found -0"),
                arguments(shape("[1.0]"), "found 1.0"),
                arguments(shape("[1e0]"), "found 1e0"),
                arguments(shape("[\"1\"]"), "found \"1\""),
                arguments(shape("[[1]]"), "found an array"),
                arguments(shape("[true]"), "found true"),
                arguments(shape("[NaN]"), "header is not valid JSON"),
                arguments(shape("[01]"), "header is not valid JSON"),
                arguments(shape("[9223372036854775808]"), "found 9223372036854775808"),
                arguments(shape("[18446744073709551617]"), "found 18446744073709551617"),
                arguments(shape("[" + "9".repeat(900) + "]"), "99... (900 characters)"),
                arguments(shape("[" + "9".repeat(5000) + "]"), "header is not valid JSON"),
                arguments(shape("[" + "1,".repeat(64) + "1]"), "shape: expected at most 64 numbers"),
                arguments(offsets("[0]"), "data_offsets: expected 2 numbers, found 1"),
                arguments(offsets("[]"), "data_offsets: expected 2 numbers, found 0"),
                arguments(offsets("[0,1,2]"), "data_offsets: expected at most 2 numbers"),
                arguments(offsets("[-1,0]"), "data_offsets: expected integers from 0 to 2^63-1, found -1"),
                arguments(offsets("[0,0.5]"), "found 0.5"),
                arguments(offsets("{\"begin\":0}"), "data_offsets: expected an array"),
                arguments(
                        Bytes.file("{\"a\\u0007\\u001b[31m\\u202e\":1}", 0),
                        "tensor \"a\\u0007\\u001b[31m\\u202e\": expected"));
    }

    static Stream<Arguments> layouts() {
        String a = entry("a", "I32", "[2]", "[0,8]");
        return Stream.of(
                arguments(
                        shape("[4611686018427387904,4611686018427387904]"), "expected a size of at most 2^63-1 bytes"),
                arguments(shape("[4611686018427387904,4,0]"), "expected a size of at most 2^63-1 bytes"),
                arguments(
                        Bytes.file("{" + entry("a", "F64", "[4611686018427387904]", "[0,0]") + "}", 0),
                        "tensor \"a\": shape: expected a size of at most 2^63-1 bytes"),
                arguments(
                        Bytes.file("{" + entry("a", "U8", "[" + MAX + "]", "[0," + MAX + "]") + "}", 1),
                        "data_offsets [0, " + MAX + "] reach beyond the file, expected at most 1 bytes"),
                arguments(offsets("[1,0]"), "tensor \"a\": data_offsets [1, 0] are reversed"),
                arguments(offsets("[" + MAX + ",0]"), "are reversed"),
                arguments(offsets("[0,2]"), "data_offsets [0, 2] hold 2 bytes, expected 1 for U8[1]"),
                arguments(offsets("[0,0]"), "hold 0 bytes, expected 1"),
                arguments(offsets("[1,2]"), "data_offsets [1, 2] reach beyond the file"),
                arguments(two(a, entry("b", "U8", "[4]", "[6,10]"), 10), "tensor \"b\": data_offsets [6, 10] overlap"),
                arguments(
                        two(a, entry("b", "I32", "[2]", "[0,8]"), 8),
                        "overlap another tensor, expected them to begin at 8"),
                arguments(two(a, entry("b", "U8", "[0]", "[4,4]"), 8), "data_offsets [4, 4] overlap"),
                arguments(two(a, entry("b", "U8", "[1]", "[9,10]"), 10), "data_offsets [9, 10] leave a hole"),
                arguments(two(a, entry("b", "U8", "[0]", "[9,9]"), 10), "data_offsets [9, 9] leave a hole"),
                arguments(
                        Bytes.file("{" + entry("a", "U8", "[1]", "[1,2]") + "}", 2),
                        "leave a hole, expected them to begin at 0"),
                arguments(two(a, entry("b", "U8", "[1]", "[8,9]"), 10), "expected 9 bytes of tensor data, found 10"),
                arguments(Bytes.file("{}", 1), "expected 0 bytes of tensor data, found 1"));
    }

    @Test
    void tensorsInAnyOrderOfDataAndWhiteSpaceAfterTheHeaderAreFine() throws Exception {
        String header = "{" + entry("b", "U8", "[2]", "[1,3]") + "," + entry("z", "F64", "[7,0]", "[1,1]") + ","
                + entry("a", "U8", "[]", "[0,1]") + ",\"__metadata__\":{}} \n\t ";
        Path file = Bytes.write(dir.resolve("ok.safetensors"), Bytes.file(header, 3));
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).containsExactly("b", "z", "a");
            assertThat(Bytes.of(read.tensor("b"))).containsExactly(1, 2);
            assertThat(Bytes.of(read.tensor("a"))).containsExactly(0);
            assertThat(Bytes.of(read.tensor("z"))).isEmpty();
        }
    }

    @Test
    void manyTensorsWhoseHashesCollideStayFast() throws Exception {
        String[] pieces = {"Aa", "BB"}; // of equal hash, so that all names built from them collide
        String entries = IntStream.range(0, 1 << 13)
                .mapToObj(i -> entry(
                        IntStream.range(0, 13)
                                .mapToObj(bit -> pieces[i >> bit & 1])
                                .collect(Collectors.joining()),
                        "U8",
                        "[0]",
                        "[0,0]"))
                .collect(Collectors.joining(","));
        Path file = Bytes.write(dir.resolve("collide.safetensors"), Bytes.file("{" + entries + "}", 0));
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.names()).hasSize(1 << 13);
        }
    }

    @Test
    void directoryInsteadOfAFile() {
        assertThatThrownBy(() -> SafetensorsFile.open(dir))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir + ": expected a file, found a directory");
    }

    @Test
    void missingFile() {
        Path file = dir.resolve("a\nb");
        assertThatThrownBy(() -> SafetensorsFile.open(file))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(dir + "/a\\u000ab: no such file");
        assertThatThrownBy(() -> SafetensorsFile.open(file.resolve("c"))).isInstanceOf(SafetensorsException.class);
    }

    @Test
    void deviceInsteadOfAFile() {
        Path device = Path.of("/dev/zero");
        assumeThat(device).exists();
        assertThatThrownBy(() -> SafetensorsFile.open(device))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageContaining("expected a regular file");
    }

    @Test
    void fileWithoutPermission() throws Exception {
        Path file = Bytes.write(dir.resolve("secret.safetensors"), Bytes.file("{}", 0));
        assumeThat(file.toFile().setReadable(false)).isTrue();
        assumeThat(Files.isReadable(file)).as("a superuser may read everything").isFalse();
        assertThatThrownBy(() -> SafetensorsFile.open(file))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(file + ": permission denied");
    }

    private static byte[] shape(String shape) {
        return Bytes.file("{" + entry("a", "U8", shape, "[0,1]") + "}", 1);
    }

    private static byte[] offsets(String offsets) {
        return Bytes.file("{" + entry("a", "U8", "[1]", offsets) + "}", 1);
    }

    private static byte[] two(String first, String second, int dataLength) {
        return Bytes.file("{" + first + "," + second + "}", dataLength);
    }
}
