package dev.dropless.moe.family;

import dev.dropless.blocksparse.Activation;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The keys of a model's {@code config.json}, read strictly: a missing key, or a value of another kind, is an {@link IllegalArgumentException} whose
 * message names key, expected and found. A key whose value is JSON null counts as missing.
 */
public final class Settings {

    private final String source;
    private final String path;
    private final Map<String, ? extends @Nullable Object> values;

    /**
     * Wraps a parsed JSON object.
     *
     * @param source where it comes from, for messages
     * @param values keys and values: String, Number, Boolean, null, or nested Map and List
     */
    public Settings(String source, Map<String, ? extends @Nullable Object> values) {
        this(source, "", values);
    }

    private Settings(String source, String path, Map<String, ? extends @Nullable Object> values) {
        this.source = source;
        this.path = path;
        this.values = values;
    }

    /**
     * Returns the keys and their values.
     *
     * @return a read-only view
     */
    public Map<String, ? extends @Nullable Object> values() {
        return Collections.unmodifiableMap(values);
    }

    /**
     * Tells whether a key has a value.
     *
     * @param key the key
     * @return true if it is present and not null
     */
    public boolean has(String key) {
        return values.get(key) != null;
    }

    /**
     * Returns the settings of the language model inside a model of several parts.
     *
     * @return the object under {@code text_config}, or this if there is none
     */
    public Settings ofText() {
        return values.get("text_config") instanceof Map<?, ?> ? section("text_config") : this;
    }

    /**
     * Reads a nested object.
     *
     * @param key the key
     * @return its settings; messages name its keys as {@code key.inner}
     */
    public Settings section(String key) {
        if (values.get(key) instanceof Map<?, ?> inner) {
            Map<String, @Nullable Object> named = new LinkedHashMap<>();
            inner.forEach((name, value) -> named.put(String.valueOf(name), value));
            return new Settings(source, path + key + ".", named);
        }
        throw mismatch(key, "an object", values.get(key));
    }

    /**
     * The same settings with a value for a key that is missing, for a family that has only one.
     *
     * @param key the key
     * @param missing its value where it is missing
     * @return these settings, or new ones
     */
    public Settings orElse(String key, Object missing) {
        if (has(key)) {
            return this;
        }
        Map<String, @Nullable Object> more = new LinkedHashMap<>(values);
        more.put(key, missing);
        return new Settings(source, path, more);
    }

    /**
     * Reads a list of texts that may be missing.
     *
     * @param key the key
     * @return the texts; empty where the key is missing
     */
    public List<String> texts(String key) {
        Object value = values.get(key);
        if (value == null) {
            return List.of();
        }
        if (value instanceof List<?> list && list.stream().allMatch(String.class::isInstance)) {
            return list.stream().map(String.class::cast).toList();
        }
        throw mismatch(key, "a list of texts", value);
    }

    /**
     * Refuses every value but one, because the family's layer computes only that one.
     *
     * @param key the key; it may be missing
     * @param expected its only value
     * @throws IllegalArgumentException if it has another
     */
    public void only(String key, Object expected) {
        Object found = values.get(key);
        boolean equal = found instanceof Number number && expected instanceof Number other
                ? number.doubleValue() == other.doubleValue()
                : expected.equals(found);
        if (found != null && !equal) {
            throw mismatch(key, quoted(expected), found);
        }
    }

    /**
     * Reads the number of experts of a token.
     *
     * @param key the key
     * @param numExperts how many there are to choose from
     * @return 1 to {@code numExperts}
     */
    public int topK(String key, int numExperts) {
        int topK = size(key);
        if (topK > numExperts) {
            throw mismatch(key, "at most the %d experts there are".formatted(numExperts), topK);
        }
        return topK;
    }

    /**
     * Reads a number that is 0 or more, and 0 where it is missing.
     *
     * @param key the key
     * @return 0 or more
     */
    public int count(String key) {
        Object value = values.get(key);
        return value == null || (value instanceof Number number && number.doubleValue() == 0) ? 0 : size(key);
    }

    /**
     * Reads a positive size. A list with one value per layer will do if they are all equal.
     *
     * @param key the key
     * @return 1 or more
     */
    public int size(String key) {
        Object value = values.get(key);
        if (value instanceof List<?> perLayer && perLayer.stream().distinct().count() == 1) {
            value = perLayer.getFirst();
        }
        if (value instanceof Number number && number.doubleValue() == number.intValue() && number.intValue() >= 1) {
            return number.intValue();
        }
        throw mismatch(key, "a whole number from 1 to 2147483647", values.get(key));
    }

    /**
     * Reads a positive size that may be missing.
     *
     * @param key the key
     * @param missing the value where it is missing
     * @return the size
     */
    public int size(String key, int missing) {
        return has(key) ? size(key) : missing;
    }

    /**
     * Reads a number.
     *
     * @param key the key
     * @return the number
     */
    public double number(String key) {
        Object value = values.get(key);
        if (value instanceof Number number) {
            return number.doubleValue();
        }
        throw mismatch(key, "a number", value);
    }

    /**
     * Reads a number that may be missing.
     *
     * @param key the key
     * @param missing the value where it is missing
     * @return the number
     */
    public double number(String key, double missing) {
        return has(key) ? number(key) : missing;
    }

    /**
     * Reads a switch.
     *
     * @param key the key
     * @return true or false
     */
    public boolean flag(String key) {
        Object value = values.get(key);
        if (value instanceof Boolean flag) {
            return flag;
        }
        throw mismatch(key, "true or false", value);
    }

    /**
     * Reads a switch that may be missing.
     *
     * @param key the key
     * @param missing the value where it is missing
     * @return true or false
     */
    public boolean flag(String key, boolean missing) {
        return has(key) ? flag(key) : missing;
    }

    /**
     * Reads a text.
     *
     * @param key the key
     * @return the text
     */
    public String text(String key) {
        Object value = values.get(key);
        if (value instanceof String text) {
            return text;
        }
        throw mismatch(key, "a text", value);
    }

    /**
     * Reads the name of an activation function.
     *
     * @param key the key
     * @return the function without limits
     */
    public Activation activation(String key) {
        String name = text(key);
        return Activation.of(
                switch (name) {
                    case "silu", "swish" -> Activation.Function.SILU;
                    case "relu" -> Activation.Function.RELU;
                    case "relu2" -> Activation.Function.RELU_SQUARED;
                    case "gelu" -> Activation.Function.GELU_ERF;
                    case "gelu_tanh", "gelu_new", "gelu_pytorch_tanh" -> Activation.Function.GELU_TANH;
                    case "linear" -> Activation.Function.IDENTITY;
                    default ->
                        throw mismatch(
                                key, "silu, relu, relu2, gelu, gelu_tanh, gelu_new, gelu_pytorch_tanh or linear", name);
                });
    }

    /**
     * Reads the name of an activation function that may be missing.
     *
     * @param key the key
     * @param missing the function where it is missing
     * @return the function without limits
     */
    public Activation activation(String key, Activation.Function missing) {
        return has(key) ? activation(key) : Activation.of(missing);
    }

    /**
     * Makes the error for a value this family cannot be computed with.
     *
     * @param key the key
     * @param expected what would do
     * @param found what is there
     * @return the exception, to be thrown
     */
    public IllegalArgumentException mismatch(String key, String expected, @Nullable Object found) {
        return new IllegalArgumentException("%s: %s: expected %s, found %s"
                .formatted(source, path + key, expected, found == null ? "nothing" : quoted(found)));
    }

    private static String quoted(Object value) {
        return value instanceof String text ? "\"" + text + "\"" : String.valueOf(value);
    }
}
