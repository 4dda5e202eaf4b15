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
 * @param suite one of {@link #SUITES}
 * @param shape name of a shape; null for the suite's own
 * @param tokens T; null for the suite's own
 * @param routings words; empty for the suite's own
 * @param passes names of passes, products or operations; empty for the suite's own
 * @param arms names; empty for the suite's own
 * @param dtypes f32, bf16, int8; at least one
 * @param threads numbers of threads, at least one, each 1 or more
 * @param quick one fork and short iterations: for a look, not for a claim
 * @param limitSeconds arms that would not be done by then are not begun; 0 for no limit
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
        List<String> dtypes,
        List<Integer> threads,
        boolean quick,
        int limitSeconds,
        @Nullable Path json,
        @Nullable Path html) {

    /** Names of the suites. */
    public static final List<String> SUITES = List.of("kernels", "operations", "layer", "peers", "topology", "decode");

    /** The limit of quick runs unless another one is asked for. */
    public static final int QUICK_SECONDS = 180;

    private static final List<String> DTYPES = List.of("f32", "bf16", "int8");

    private static final Set<String> KEYS = new TreeSet<>(Set.of(
            "suite", "shape", "tokens", "routing", "pass", "arm", "dtype", "threads", "quick", "limit", "json",
            "html"));

    /**
     * Checks the numbers and names; those of passes, which differ by suite, are checked with the tasks.
     *
     * @throws IllegalArgumentException if one is out of range
     */
    public SuiteOptions {
        if (!SUITES.contains(suite)) {
            throw new IllegalArgumentException(
                    "suite: expected one of %s, found \"%s\"".formatted(String.join(", ", SUITES), suite));
        }
        if (threads.isEmpty() || threads.stream().anyMatch(n -> n < 1) || (tokens != null && tokens < 1)) {
            throw new IllegalArgumentException(
                    "tokens, threads: expected at least 1, found %s and %s".formatted(tokens, threads));
        }
        if (dtypes.isEmpty() || !DTYPES.containsAll(dtypes)) {
            throw new IllegalArgumentException("dtype: expected some of %s, found \"%s\""
                    .formatted(String.join(", ", DTYPES), String.join(",", dtypes)));
        }
        if (limitSeconds < 0) {
            throw new IllegalArgumentException("limit: expected 0 or more seconds, found " + limitSeconds);
        }
        routings = List.copyOf(routings);
        passes = List.copyOf(passes);
        arms = List.copyOf(arms);
        dtypes = List.copyOf(dtypes);
        threads = List.copyOf(threads);
    }

    /**
     * Reads arguments of the form key=value; lists are separated by commas.
     *
     * @param arguments suite=..., shape=..., tokens=..., routing=..., pass=..., arm=..., dtype=..., threads=...,
     *     quick=true, limit=SECONDS, json=FILE, html=FILE; all but the suite may be missing
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
        boolean quick = Boolean.parseBoolean(values.getOrDefault("quick", "false"));
        return new SuiteOptions(
                values.getOrDefault("suite", ""),
                values.get("shape"),
                tokens == null ? null : number("tokens", tokens),
                list(values.get("routing")),
                list(values.get("pass")),
                list(values.get("arm")),
                list(values.getOrDefault("dtype", "f32")),
                list(values.getOrDefault("threads", "1")).stream()
                        .map(threads -> number("threads", threads))
                        .toList(),
                quick,
                number("limit", values.getOrDefault("limit", quick ? "" + QUICK_SECONDS : "0")),
                json == null ? null : Path.of(json),
                html == null ? null : Path.of(html));
    }

    private static int number(String key, String value) {
        try {
            return Integer.parseInt(value);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("%s: expected a number, found \"%s\"".formatted(key, value), e);
        }
    }

    private static List<String> list(@Nullable String value) {
        return value == null || value.isEmpty() ? List.of() : Arrays.asList(value.split(",", -1));
    }
}
