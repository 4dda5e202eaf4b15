package dev.dropless.benchmarks.suite;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What to measure.
 *
 * @param suite kernels, layer, peers, topology or decode
 * @param shape name of a shape; null for the suite's own
 * @param tokens T; null for the suite's own
 * @param routings words; empty for the suite's own
 * @param passes forward, forward+backward; empty for the suite's own
 * @param arms names; empty for the suite's own
 * @param dtype f32, bf16 or int8
 * @param threads 1 or more
 * @param quick one fork and short iterations: for a look, not for a claim
 * @param json file to write, or null
 * @param html file to write, or null
 */
public record SuiteOptions(
        String suite,
        @Nullable String shape,
        @Nullable Integer tokens,
        List<String> routings,
        List<String> passes,
        List<String> arms,
        String dtype,
        int threads,
        boolean quick,
        @Nullable Path json,
        @Nullable Path html) {

    /** Names of the suites. */
    public static final List<String> SUITES = List.of("kernels", "layer", "peers", "topology", "decode");

    private static final Set<String> KEYS = new TreeSet<>(
            Set.of("suite", "shape", "tokens", "routing", "pass", "arm", "dtype", "threads", "quick", "json", "html"));

    /**
     * Checks the numbers and names.
     *
     * @throws IllegalArgumentException if one is out of range
     */
    public SuiteOptions {
        if (!SUITES.contains(suite)) {
            throw new IllegalArgumentException(
                    "suite: expected one of %s, found \"%s\"".formatted(String.join(", ", SUITES), suite));
        }
        if (threads < 1 || (tokens != null && tokens < 1)) {
            throw new IllegalArgumentException(
                    "tokens, threads: expected at least 1, found %s and %d".formatted(tokens, threads));
        }
        for (String pass : passes) {
            if (!pass.equals("forward") && !pass.equals("forward+backward")) {
                throw new IllegalArgumentException(
                        "pass: expected forward or forward+backward, found \"" + pass + "\"");
            }
        }
        routings = List.copyOf(routings);
        passes = List.copyOf(passes);
        arms = List.copyOf(arms);
    }

    /**
     * Reads arguments of the form key=value; lists are separated by commas.
     *
     * @param arguments suite=..., shape=..., tokens=..., routing=..., pass=..., arm=..., dtype=..., threads=...,
     *     quick=true, json=FILE, html=FILE; all but the suite may be missing
     * @return the options
     * @throws IllegalArgumentException if a key is unknown or a value is out of range
     */
    public static SuiteOptions parse(String... arguments) {
        Map<String, String> values = new LinkedHashMap<>();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            if (equals < 0 || !KEYS.contains(argument.substring(0, equals))) {
                throw new IllegalArgumentException("argument: expected KEY=VALUE with a key of %s, found \"%s\""
                        .formatted(String.join(", ", KEYS), argument));
            }
            values.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        String tokens = values.get("tokens");
        String json = values.get("json");
        String html = values.get("html");
        return new SuiteOptions(
                values.getOrDefault("suite", ""),
                values.get("shape"),
                tokens == null ? null : Integer.valueOf(tokens),
                list(values.get("routing")),
                list(values.get("pass")),
                list(values.get("arm")),
                values.getOrDefault("dtype", "f32"),
                Integer.parseInt(values.getOrDefault("threads", "1")),
                Boolean.parseBoolean(values.getOrDefault("quick", "false")),
                json == null ? null : Path.of(json),
                html == null ? null : Path.of(html));
    }

    private static List<String> list(@Nullable String value) {
        return value == null || value.isEmpty() ? List.of() : Arrays.asList(value.split(",", -1));
    }
}
