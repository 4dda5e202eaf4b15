package dev.dropless.safetensors;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A parsed JSON object with typed access; a value that is missing or of another type is reported with the file, the
 * key, what was expected and what was found.
 *
 * <p>Accessors with a default take the default when the key is absent or its value is {@code null}, as Python
 * configurations use both to say "not set". Immutable.
 */
public final class JsonObject {

    private final String source;
    private final Map<String, @Nullable Object> values;

    private JsonObject(String source, Map<String, @Nullable Object> values) {
        this.source = source;
        this.values = values;
    }

    @SuppressWarnings("unchecked") // the parser makes no other kind of map
    static JsonObject of(String source, @Nullable Object value) throws SafetensorsException {
        if (value instanceof Map<?, ?> map) {
            return new JsonObject(source, (Map<String, @Nullable Object>) map);
        }
        throw new SafetensorsException(source, "expected a JSON object, found " + describe(value));
    }

    /**
     * Returns the entries in the order of the text.
     *
     * @return immutable map of the values that {@link Json} describes
     */
    public Map<String, @Nullable Object> values() {
        return values;
    }

    /**
     * Says whether a key has a value other than {@code null}.
     *
     * @param key the key
     * @return whether an accessor without default would find a value
     */
    public boolean has(String key) {
        return values.get(key) != null;
    }

    /**
     * Returns a string.
     *
     * @param key the key
     * @return its value
     * @throws SafetensorsException if there is no string of that key
     */
    public String string(String key) throws SafetensorsException {
        return require(key, String.class, "a string");
    }

    /**
     * Returns a string or a default.
     *
     * @param key the key
     * @param fallback value when the key is not set
     * @return its value
     * @throws SafetensorsException if the value is set and not a string
     */
    public String string(String key, String fallback) throws SafetensorsException {
        return has(key) ? string(key) : fallback;
    }

    /**
     * Returns an integer; a number written with a fraction or an exponent is none.
     *
     * @param key the key
     * @return its value
     * @throws SafetensorsException if there is no integer of that key, or it exceeds 64 bits
     */
    public long integer(String key) throws SafetensorsException {
        return require(key, Long.class, "a 64-bit integer");
    }

    /**
     * Returns an integer or a default.
     *
     * @param key the key
     * @param fallback value when the key is not set
     * @return its value
     * @throws SafetensorsException if the value is set and not an integer of 64 bits
     */
    public long integer(String key, long fallback) throws SafetensorsException {
        return has(key) ? integer(key) : fallback;
    }

    /**
     * Returns a number, integers included.
     *
     * @param key the key
     * @return its value, rounded to double
     * @throws SafetensorsException if there is no number of that key
     */
    public double number(String key) throws SafetensorsException {
        return require(key, Number.class, "a number").doubleValue();
    }

    /**
     * Returns a number, integers included, or a default.
     *
     * @param key the key
     * @param fallback value when the key is not set
     * @return its value, rounded to double
     * @throws SafetensorsException if the value is set and not a number
     */
    public double number(String key, double fallback) throws SafetensorsException {
        return has(key) ? number(key) : fallback;
    }

    /**
     * Returns a truth value.
     *
     * @param key the key
     * @return its value
     * @throws SafetensorsException if there is no truth value of that key
     */
    public boolean bool(String key) throws SafetensorsException {
        return require(key, Boolean.class, "true or false");
    }

    /**
     * Returns a truth value or a default.
     *
     * @param key the key
     * @param fallback value when the key is not set
     * @return its value
     * @throws SafetensorsException if the value is set and not a truth value
     */
    public boolean bool(String key, boolean fallback) throws SafetensorsException {
        return has(key) ? bool(key) : fallback;
    }

    /**
     * Returns a nested object.
     *
     * @param key the key
     * @return its value; messages of the nested object name the key
     * @throws SafetensorsException if there is no object of that key
     */
    public JsonObject object(String key) throws SafetensorsException {
        return of(source + ": key " + Text.quote(key), require(key, Map.class, "an object"));
    }

    /**
     * Returns a list.
     *
     * @param key the key
     * @return immutable list of the values that {@link Json} describes
     * @throws SafetensorsException if there is no list of that key
     */
    @SuppressWarnings("unchecked") // the parser makes no other kind of list
    public List<@Nullable Object> list(String key) throws SafetensorsException {
        return (List<@Nullable Object>) require(key, List.class, "a list");
    }

    private <V> V require(String key, Class<V> type, String expected) throws SafetensorsException {
        Object value = values.get(key);
        if (type.isInstance(value)) {
            return type.cast(value);
        }
        throw new SafetensorsException(
                source,
                "key " + Text.quote(key) + ": expected " + expected + ", found "
                        + (values.containsKey(key) ? describe(value) : "no such key"));
    }

    private static String describe(@Nullable Object value) {
        return switch (value) {
            case null -> "null";
            case Map<?, ?> _ -> "an object";
            case List<?> _ -> "a list";
            case String text -> Text.quote(text);
            default -> Text.abbreviate(value.toString(), 40);
        };
    }

    @Override
    public String toString() {
        return source + ": " + values;
    }
}
