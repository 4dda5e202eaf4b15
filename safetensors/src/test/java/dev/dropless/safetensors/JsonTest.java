package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.RandomAccessFile;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonTest {

    @TempDir
    Path dir;

    @Test
    void everyKindOfValue() throws Exception {
        JsonObject object = Json.parseObject("config.json", """
                {"s": "é\\u00e9\\ud83d\\ude80", "i": -7, "max": 9223372036854775807, "big": 9223372036854775808,
                 "d": 1.0, "e": 1e-6, "inf": Infinity, "nan": NaN, "t": true, "f": false, "n": null,
                 "list": [1, [], {"x": 0.5}], "object": {"y": [2]}}
                """);
        assertThat(object.values().keySet())
                .containsExactly("s", "i", "max", "big", "d", "e", "inf", "nan", "t", "f", "n", "list", "object");
        assertThat(object.string("s")).isEqualTo("éé\uD83D\uDE80");
        assertThat(object.integer("i")).isEqualTo(-7);
        assertThat(object.integer("max")).isEqualTo(Long.MAX_VALUE);
        assertThat(object.values().get("big")).isEqualTo(new BigInteger("9223372036854775808"));
        assertThat(object.values().get("d")).isEqualTo(1.0);
        assertThat(object.number("i")).isEqualTo(-7.0);
        assertThat(object.number("e")).isEqualTo(1e-6);
        assertThat(object.number("inf")).isEqualTo(Double.POSITIVE_INFINITY);
        assertThat(object.number("nan")).isNaN();
        assertThat(object.bool("t")).isTrue();
        assertThat(object.bool("f")).isFalse();
        assertThat(object.list("list")).isEqualTo(List.of(1L, List.of(), Map.of("x", 0.5)));
        assertThat(object.object("object").list("y")).containsExactly(2L);
        assertThatThrownBy(() -> object.values().put("new", 1)).isInstanceOf(UnsupportedOperationException.class);
        assertThatThrownBy(() -> object.list("list").add(1)).isInstanceOf(UnsupportedOperationException.class);
    }

    @Test
    void defaultsAreForAbsentAndNullAlone() throws Exception {
        JsonObject object = Json.parseObject("c", "{\"n\": null, \"i\": 3, \"s\": \"x\", \"b\": true, \"d\": 0.5}");
        assertThat(object.has("n")).isFalse();
        assertThat(object.has("i")).isTrue();
        assertThat(object.integer("n", 5)).isEqualTo(5);
        assertThat(object.integer("absent", 6)).isEqualTo(6);
        assertThat(object.integer("i", 7)).isEqualTo(3);
        assertThat(object.string("absent", "y")).isEqualTo("y");
        assertThat(object.string("s", "y")).isEqualTo("x");
        assertThat(object.number("absent", 2)).isEqualTo(2);
        assertThat(object.number("d", 2)).isEqualTo(0.5);
        assertThat(object.bool("absent", true)).isTrue();
        assertThat(object.bool("b", false)).isTrue();
        assertThatThrownBy(() -> object.integer("d", 1)).isInstanceOf(SafetensorsException.class);
        assertThatThrownBy(() -> object.bool("i", true)).isInstanceOf(SafetensorsException.class);
    }

    @Test
    void accessErrorsNameFileKeyAndBothTypes() throws Exception {
        JsonObject object = Json.parseObject(
                "c.json", "{\"n\": null, \"d\": 2.5, \"o\": {\"k\": \"v\"}, \"big\": 1" + "0".repeat(60) + "}");
        assertThatThrownBy(() -> object.integer("top_k"))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage("c.json: key \"top_k\": expected a 64-bit integer, found no such key");
        assertThatThrownBy(() -> object.string("n")).hasMessage("c.json: key \"n\": expected a string, found null");
        assertThatThrownBy(() -> object.integer("d"))
                .hasMessage("c.json: key \"d\": expected a 64-bit integer, found 2.5");
        assertThatThrownBy(() -> object.integer("big"))
                .hasMessageEndingWith("expected a 64-bit integer, found 1" + "0".repeat(39) + "... (61 characters)");
        assertThatThrownBy(() -> object.list("o")).hasMessage("c.json: key \"o\": expected a list, found an object");
        assertThatThrownBy(() -> object.object("d")).hasMessage("c.json: key \"d\": expected an object, found 2.5");
        assertThatThrownBy(() -> object.object("o").bool("k"))
                .hasMessage("c.json: key \"o\": key \"k\": expected true or false, found \"v\"");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "``|expected a JSON value, found nothing",
                "{|not valid JSON at line 1, column 2",
                "[1,]|not valid JSON at line 1, column 4",
                "[1] 2|expected nothing after the JSON value, found more at line 1, column 5",
                "{\"a\":1,\"a\":2}|not valid JSON at line 1, column 11, Duplicate field 'a'",
                "[1e999]|expected a number within the range of a double, found 1e999 at line 1, column 2",
                "[-1e999]|found -1e999",
                "'x'|not valid JSON",
                "[\"\\ud800\"]|unpaired surrogate in string \"\\ud800\" at line 1, column 2",
                "{\"\\udc00x\":1}|low surrogate in field name",
            })
    void badText(String text, String problem) {
        assertThatThrownBy(() -> Json.parse("c.json", text))
                .isInstanceOf(SafetensorsException.class)
                .hasMessageStartingWith("c.json: ")
                .hasMessageContaining(problem);
    }

    @Test
    void nestingIsLimited() throws Exception {
        String allowed = "[".repeat(Json.MAX_DEPTH) + "]".repeat(Json.MAX_DEPTH);
        assertThat(Json.write(Json.parse("deep", allowed))).isEqualTo(allowed);
        assertThatThrownBy(() -> Json.parse("deep", "[".repeat(1_000_000)))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(
                        "deep: not valid JSON, " + "Document nesting depth (201) exceeds the maximum allowed (200)");
        List<Object> cyclic = new ArrayList<>();
        cyclic.add(cyclic);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Json.write(cyclic))
                .withMessageContaining("nesting");
    }

    @Test
    void files() throws Exception {
        Path file = Files.writeString(dir.resolve("c.json"), "{\"ä\": 1}");
        assertThat(Json.readObject(file).integer("ä")).isEqualTo(1);
        Files.write(file, "{\"ä\": 1}".getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> Json.readObject(file))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(file + ": JSON is not UTF-8, first bad byte at offset 2");
        assertThatThrownBy(() -> Json.readObject(dir)).hasMessage(dir + ": expected a file, found a directory");
        try (RandomAccessFile large = new RandomAccessFile(file.toFile(), "rw")) {
            large.setLength(100_000_001);
        }
        assertThatThrownBy(() -> Json.readObject(file))
                .hasMessage(file + ": expected at most 100000000 bytes of JSON, found 100000001");
    }

    @Test
    void writesWhatItReads() throws Exception {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("z", Arrays.asList(1L, -2L, null, true, "a\"\n\u0001é"));
        map.put("a", Map.of("d", 0.1));
        map.put("big", new BigInteger("123456789012345678901234567890"));
        String text = Json.write(map);
        assertThat(text)
                .isEqualTo("{\"z\":[1,-2,null,true,\"a\\\"\\n\\u0001é\"],\"a\":{\"d\":0.1},"
                        + "\"big\":123456789012345678901234567890}");
        assertThat(Json.parse("text", text)).isEqualTo(map);
        assertThat(Json.parse("text", Json.writePretty(map))).isEqualTo(map);
        assertThat(Json.writePretty(Map.of("a", List.of(1, 2.5f))))
                .isEqualTo("{\n  \"a\" : [\n    1,\n    2.5\n  ]\n}\n");
        assertThat(Json.write(null)).isEqualTo("null");
    }

    @Test
    void refusesToWriteWhatIsNotJson() {
        for (Object value : List.of(Double.NaN, Float.POSITIVE_INFINITY, new int[1], Map.of(1, 2), "\ud800", 'c')) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> Json.write(List.of(value)))
                    .withMessageStartingWith("value: expected ");
        }
    }
}
