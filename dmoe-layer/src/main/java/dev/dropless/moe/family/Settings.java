package dev.dropless.moe.family;

import dev.dropless.blocksparse.Activation;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The keys of a model's {@code config.json}, read strictly: a missing key, or a value of another kind, is an {@link IllegalArgumentException} whose
 * message names key, expected and found. A key whose value is JSON null counts as missing.
 */
public final class Settings {

    private final String source;
    private final Map<String, ? extends @Nullable Object> values;

    /**
     * Wraps a parsed JSON object.
     *
     * @param source where it comes from, for messages
     * @param values keys and values: String, Number, Boolean, null, or nested Map and List
     */
    public Settings(String source, Map<String, ? extends @Nullable Object> values) {
        this.source = source;
        this.values = values;
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
     * Reads a positive size.
     *
     * @param key the key
     * @return 1 or more
     */
    public int size(String key) {
        Object value = values.get(key);
        if (value instanceof Number number && number.doubleValue() == number.intValue() && number.intValue() >= 1) {
            return number.intValue();
        }
        throw mismatch(key, "a whole number from 1 to 2147483647", value);
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
     * Makes the error for a value this family cannot be computed with.
     *
     * @param key the key
     * @param expected what would do
     * @param found what is there
     * @return the exception, to be thrown
     */
    public IllegalArgumentException mismatch(String key, String expected, @Nullable Object found) {
        return new IllegalArgumentException("%s: %s: expected %s, found %s"
                .formatted(
                        source,
                        key,
                        expected,
                        found == null ? "nothing" : found instanceof String text ? "\"" + text + "\"" : found));
    }
}
