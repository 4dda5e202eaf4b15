package dev.dropless.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads the header of a file token by token, so that a hostile header costs no more memory than the tensors it
 * declares, and never trusts a number in it.
 */
final class HeaderReader {

    static final int PREFIX_BYTES = Long.BYTES;

    /** Largest rank accepted, as in NumPy; it bounds what one entry can allocate. */
    private static final int MAX_RANK = 64;

    private final String source;
    private final JsonParser parser;

    private HeaderReader(String source, JsonParser parser) {
        this.source = source;
        this.parser = parser;
    }

    /** Reads the length prefix: the header's size in bytes, checked against the limits and the file. */
    static int readLength(Path file, FileChannel channel, long fileSize) throws IOException {
        if (fileSize < PREFIX_BYTES) {
            throw new SafetensorsException(
                    file.toString(), "expected at least " + PREFIX_BYTES + " bytes, found " + fileSize);
        }
        ByteBuffer prefix = InputFiles.read(file, channel, 0, PREFIX_BYTES);
        long length = prefix.order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length <= 0 || length > Header.MAX_BYTES) {
            throw new SafetensorsException(
                    file.toString(),
                    "expected a header of 1 to " + Header.MAX_BYTES + " bytes, found length "
                            + Long.toUnsignedString(length) + "; is this a safetensors file?");
        }
        if (length > fileSize - PREFIX_BYTES) {
            throw new SafetensorsException(
                    file.toString(),
                    "expected a header of " + length + " bytes, found only " + (fileSize - PREFIX_BYTES)
                            + " bytes after its length; is the file truncated?");
        }
        return (int) length;
    }

    /** Reads the header of {@code length} bytes that follows the prefix, and checks it against the data behind it. */
    static Header read(Path file, FileChannel channel, int length, long dataLength) throws IOException {
        ByteBuffer bytes = InputFiles.read(file, channel, PREFIX_BYTES, length);
        return parse(file.toString(), InputFiles.decodeUtf8(file, "header", bytes), dataLength);
    }

    /** Parses the text of a header and checks it against the bytes of data that follow it. */
    static Header parse(String source, String text, long dataLength) throws SafetensorsException {
        if (!text.startsWith("{")) {
            throw new SafetensorsException(
                    source, "expected the header to begin with '{', found " + Text.quote(Text.abbreviate(text, 20)));
        }
        Header header;
        try (JsonParser parser = Json.parser(text)) {
            header = new HeaderReader(source, parser).readHeader();
        } catch (IOException e) {
            throw Json.failure(source, "header is not valid JSON", e);
        }
        header.checkLayout(source, dataLength);
        return header;
    }

    private Header readHeader() throws IOException {
        Map<String, String> metadata = new LinkedHashMap<>();
        Map<String, Header.Entry> entries = new LinkedHashMap<>();
        parser.nextToken();
        for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
            Json.requireUnicode(source, parser, name);
            if (name.equals(Header.METADATA_KEY)) {
                readMetadata(metadata);
            } else {
                entries.put(name, readEntry(name));
            }
        }
        Json.requireEnd(source, parser);
        return new Header(metadata, entries);
    }

    private void readMetadata(Map<String, String> metadata) throws IOException {
        expect(JsonToken.START_OBJECT, "an object of strings", Header.METADATA_KEY);
        for (String key = parser.nextFieldName(); key != null; key = parser.nextFieldName()) {
            Json.requireUnicode(source, parser, key);
            expect(JsonToken.VALUE_STRING, "a string", Header.METADATA_KEY + ": value of " + Text.quote(key));
            metadata.put(key, Json.requireUnicode(source, parser, parser.getText()));
        }
    }

    private Header.Entry readEntry(String name) throws IOException {
        String tensor = "tensor " + Text.quote(name);
        TensorType type = null;
        long[] shape = null;
        long[] offsets = null;
        expect(JsonToken.START_OBJECT, "an object with dtype, shape and data_offsets", tensor);
        for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
            switch (field) {
                case "dtype" -> type = readType(tensor);
                case "shape" -> shape = readNumbers(tensor + ": shape", MAX_RANK);
                case "data_offsets" -> offsets = readNumbers(tensor + ": data_offsets", 2);
                default ->
                    throw problem(
                            tensor + ": expected dtype, shape and data_offsets, found field " + Text.quote(field));
            }
        }
        type = requirePresent(type, tensor, "dtype");
        shape = requirePresent(shape, tensor, "shape");
        offsets = requirePresent(offsets, tensor, "data_offsets");
        if (offsets.length != 2) {
            throw problem(tensor + ": data_offsets: expected 2 numbers, found " + offsets.length);
        }
        return new Header.Entry(name, type, shape, offsets[0], offsets[1]);
    }

    private TensorType readType(String tensor) throws IOException {
        expect(JsonToken.VALUE_STRING, "a string", tensor + ": dtype");
        String dtype = parser.getText();
        return TensorType.ofName(dtype)
                .orElseThrow(() -> problem(tensor + ": dtype: expected one of " + Arrays.toString(TensorType.values())
                        + ", found " + Text.quote(dtype)));
    }

    private long[] readNumbers(String what, int maxCount) throws IOException {
        expect(JsonToken.START_ARRAY, "an array of non-negative integers", what);
        long[] numbers = new long[4];
        int count = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            if (count == maxCount) {
                throw problem(what + ": expected at most " + maxCount + " numbers, found more");
            }
            if (count == numbers.length) {
                numbers = Arrays.copyOf(numbers, 2 * count);
            }
            numbers[count++] = readNumber(what);
        }
        return Arrays.copyOf(numbers, count);
    }

    private long readNumber(String what) throws IOException {
        boolean valid = parser.currentToken() == JsonToken.VALUE_NUMBER_INT
                && parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER
                && !parser.getText().startsWith("-");
        if (!valid) {
            throw problem(what + ": expected integers from 0 to 2^63-1, found " + found());
        }
        return parser.getLongValue();
    }

    private void expect(JsonToken token, String expected, String what) throws IOException {
        if (parser.nextToken() != token) {
            throw problem(what + ": expected " + expected + ", found " + found());
        }
    }

    private <V> V requirePresent(@Nullable V value, String tensor, String field) throws SafetensorsException {
        if (value == null) {
            throw problem(tensor + ": expected dtype, shape and data_offsets, found no " + field);
        }
        return value;
    }

    private String found() throws IOException {
        return switch (parser.currentToken()) {
            case null -> "the end of the header";
            case START_OBJECT -> "an object";
            case START_ARRAY -> "an array";
            case VALUE_STRING -> Text.quote(parser.getText());
            default -> Text.abbreviate(parser.getText(), 40);
        };
    }

    private SafetensorsException problem(String problem) {
        return new SafetensorsException(source, problem);
    }
}
