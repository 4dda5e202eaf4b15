package dev.dropless.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * JSON text to plain immutable values and back: enough for checkpoint configurations, shard indices and reports.
 *
 * <p>Values are {@code Map<String, Object>} in the order of the text, {@code List<Object>}, {@code String},
 * {@code Long}, {@code BigInteger} (only integers that no {@code Long} holds), {@code Double}, {@code Boolean} and
 * {@code null}. Duplicate keys, nesting beyond {@value #MAX_DEPTH}, unpaired surrogates and more than
 * {@value #MAX_BYTES} bytes are refused. {@code NaN} and {@code Infinity} are read, since Python writes them into
 * configurations, but never written.
 */
public final class Json {

    static final int MAX_DEPTH = 200;
    static final int MAX_BYTES = 100_000_000;
    private static final int MAX_DETAIL_CHARS = 240;

    // Interning would put names of hostile files into a table that lives as long as the JVM.
    private static final JsonFactory STRICT = JsonFactory.builder()
            .configure(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES, false)
            .configure(JsonFactory.Feature.INTERN_FIELD_NAMES, false)
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_DEPTH)
                    .maxDocumentLength(MAX_BYTES)
                    .maxStringLength(MAX_BYTES)
                    .build())
            .build();

    private Json() {}

    /**
     * Parses one JSON value.
     *
     * @param source what to call the text's origin in messages, usually a file
     * @param text the whole JSON text
     * @return the value, {@code null} for the JSON literal {@code null}
     * @throws SafetensorsException if the text is not one JSON value within the limits above
     */
    public static @Nullable Object parse(String source, String text) throws SafetensorsException {
        try (JsonParser parser = parser(text)) {
            parser.enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature());
            if (parser.nextToken() == null) {
                throw new SafetensorsException(source, "expected a JSON value, found nothing");
            }
            Object value = readValue(source, parser);
            requireEnd(source, parser);
            return value;
        } catch (IOException e) {
            throw failure(source, "not valid JSON", e);
        }
    }

    /**
     * Parses one JSON object.
     *
     * @param source what to call the text's origin in messages, usually a file
     * @param text the whole JSON text
     * @return the object
     * @throws SafetensorsException if the text is not one JSON object within the limits above
     */
    public static JsonObject parseObject(String source, String text) throws SafetensorsException {
        return JsonObject.of(source, parse(source, text));
    }

    /**
     * Reads a file that holds one JSON object in UTF-8.
     *
     * @param file the file
     * @return the object; it names the file in its messages
     * @throws SafetensorsException if the file cannot be read or is not one JSON object within the limits above
     */
    public static JsonObject readObject(Path file) throws SafetensorsException {
        try (FileChannel channel = InputFiles.open(file)) {
            long size = channel.size();
            if (size > MAX_BYTES) {
                throw new SafetensorsException(
                        file.toString(), "expected at most " + MAX_BYTES + " bytes of JSON, found " + size);
            }
            String text = InputFiles.decodeUtf8(file, "JSON", InputFiles.read(file, channel, 0, (int) size));
            return parseObject(file.toString(), text);
        } catch (IOException e) {
            throw InputFiles.failure(file, "cannot be read", e);
        }
    }

    /**
     * Writes a value compactly, map entries in the order of the map.
     *
     * @param value maps with string keys, lists, strings, numbers, booleans, {@code null}
     * @return JSON text
     * @throws IllegalArgumentException if the value holds anything else, an unpaired surrogate, a number that is not
     *     finite, or nests deeper than {@value #MAX_DEPTH}
     */
    public static String write(@Nullable Object value) {
        return write(value, false);
    }

    /**
     * Writes a value as {@link #write(Object)} does, indented by two spaces and ending in a line feed.
     *
     * @param value as for {@link #write(Object)}
     * @return JSON text, the same on every platform
     * @throws IllegalArgumentException as {@link #write(Object)} does
     */
    public static String writePretty(@Nullable Object value) {
        return write(value, true) + "\n";
    }

    /** Opens a strict streaming parser on a whole text. */
    static JsonParser parser(String text) throws IOException {
        return STRICT.createParser(text);
    }

    /** Checks that nothing but white space follows. */
    static void requireEnd(String source, JsonParser parser) throws IOException {
        JsonToken token = parser.nextToken();
        if (token != null) {
            throw new SafetensorsException(
                    source,
                    "expected nothing after the JSON value, found more" + position(parser.currentTokenLocation()));
        }
    }

    /** Checks that a string can be written as UTF-8 again. */
    static String requireUnicode(String source, JsonParser parser, String text) throws SafetensorsException {
        if (!Text.isUnicode(text)) {
            throw new SafetensorsException(
                    source,
                    "unpaired surrogate in string " + Text.quote(text) + position(parser.currentTokenLocation()));
        }
        return text;
    }

    /** Turns a parser's exception into one line; one that already is a line passes unchanged. */
    static SafetensorsException failure(String source, String what, IOException e) {
        return switch (e) {
            case SafetensorsException already -> already;
            case JsonProcessingException json ->
                new SafetensorsException(
                        source,
                        // The parser quotes whole names, and its own configuration methods, which help nobody here.
                        what + position(json.getLocation()) + ", "
                                + Text.abbreviate(
                                        json.getOriginalMessage().replaceAll(", from `[^`]*`", ""), MAX_DETAIL_CHARS),
                        json);
            default -> new SafetensorsException(source, what + ", " + e, e);
        };
    }

    private static String position(@Nullable JsonLocation location) {
        return location == null ? "" : " at line " + location.getLineNr() + ", column " + location.getColumnNr();
    }

    private static @Nullable Object readValue(String source, JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> readObject(source, parser);
            case START_ARRAY -> readList(source, parser);
            case VALUE_STRING -> requireUnicode(source, parser, parser.getText());
            case VALUE_NUMBER_INT ->
                parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                        ? parser.getBigIntegerValue()
                        : Long.valueOf(parser.getLongValue());
            case VALUE_NUMBER_FLOAT -> readDouble(source, parser);
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> throw new SafetensorsException(source, "not valid JSON, unexpected " + parser.currentToken());
        };
    }

    private static Map<String, @Nullable Object> readObject(String source, JsonParser parser) throws IOException {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        for (String key = parser.nextFieldName(); key != null; key = parser.nextFieldName()) {
            requireUnicode(source, parser, key);
            parser.nextToken();
            values.put(key, readValue(source, parser));
        }
        return Collections.unmodifiableMap(values);
    }

    private static List<@Nullable Object> readList(String source, JsonParser parser) throws IOException {
        List<@Nullable Object> values = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            values.add(readValue(source, parser));
        }
        return Collections.unmodifiableList(values);
    }

    private static Double readDouble(String source, JsonParser parser) throws IOException {
        double value = parser.getDoubleValue();
        String text = parser.getText();
        if (Double.isInfinite(value) && text.chars().anyMatch(Character::isDigit)) {
            throw new SafetensorsException(
                    source,
                    "expected a number within the range of a double, found " + Text.abbreviate(text, 40)
                            + position(parser.currentTokenLocation()));
        }
        return value;
    }

    private static String write(@Nullable Object value, boolean pretty) {
        StringWriter out = new StringWriter();
        try (JsonGenerator generator = STRICT.createGenerator(out)) {
            if (pretty) {
                DefaultIndenter indenter = new DefaultIndenter("  ", "\n");
                generator.setPrettyPrinter(
                        new DefaultPrettyPrinter().withObjectIndenter(indenter).withArrayIndenter(indenter));
            }
            writeValue(generator, value, 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // a StringWriter never fails
        }
        return out.toString();
    }

    private static void writeValue(JsonGenerator generator, @Nullable Object value, int depth) throws IOException {
        if (depth > MAX_DEPTH) {
            throw new IllegalArgumentException("value: expected a nesting of at most " + MAX_DEPTH + ", found more");
        }
        switch (value) {
            case null -> generator.writeNull();
            case Map<?, ?> map -> {
                generator.writeStartObject();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    if (!(entry.getKey() instanceof String key)) {
                        throw new IllegalArgumentException("value: expected string keys, found " + entry.getKey());
                    }
                    generator.writeFieldName(checkUnicode(key));
                    writeValue(generator, entry.getValue(), depth + 1);
                }
                generator.writeEndObject();
            }
            case List<?> list -> {
                generator.writeStartArray();
                for (Object element : list) {
                    writeValue(generator, element, depth + 1);
                }
                generator.writeEndArray();
            }
            case String text -> generator.writeString(checkUnicode(text));
            case Boolean bool -> generator.writeBoolean(bool);
            case Number number -> writeNumber(generator, number);
            default ->
                throw new IllegalArgumentException("value: expected map, list, string, number, boolean or null, found "
                        + value.getClass().getName());
        }
    }

    private static void writeNumber(JsonGenerator generator, Number number) throws IOException {
        switch (number) {
            case Double d when Double.isFinite(d) -> generator.writeNumber(d);
            case Float f when Float.isFinite(f) -> generator.writeNumber(f);
            case Long _, Integer _, Short _, Byte _ -> generator.writeNumber(number.longValue());
            case BigInteger big -> generator.writeNumber(big);
            default ->
                throw new IllegalArgumentException("value: expected a finite number, found "
                        + number.getClass().getName() + " " + number);
        }
    }

    private static String checkUnicode(String text) {
        if (!Text.isUnicode(text)) {
            throw new IllegalArgumentException(
                    "value: expected Unicode text, found an unpaired surrogate in " + Text.quote(text));
        }
        return text;
    }
}
