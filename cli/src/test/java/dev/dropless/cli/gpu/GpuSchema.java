package dev.dropless.cli.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.SafetensorsException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The form "dropless-gpu-1" as docs/gpu-check.md describes it. */
public final class GpuSchema {

    /** What a row of measurements may say. */
    private static final Set<String> ROW = Set.of(
            "milliseconds",
            "skipped",
            "tflops",
            "gbps",
            "of_burst",
            "of_sustained",
            "floor_milliseconds",
            "of_floor",
            "of_cublas",
            "anchor",
            "of_anchor");

    private GpuSchema() {}

    /** Checks a file and returns its parts. */
    public static List<Map<String, Object>> check(String json, String source) throws SafetensorsException {
        Map<String, Object> file =
                object(Json.parse(source, json), Set.of("schema", "source", "passed", "parts"), Set.of());
        assertThat(file).containsEntry("schema", "dropless-gpu-1").containsEntry("source", source);
        assertThat(file.get("passed")).isInstanceOf(Boolean.class);
        List<Map<String, Object>> parts = list(file.get("parts")).stream()
                .map(p -> object(p, Set.of("part", "status", "seconds"), Set.of("report", "log")))
                .toList();
        for (Map<String, Object> part : parts) {
            assertThat(part.get("part")).isInstanceOf(String.class);
            assertThat((String) part.get("status"))
                    .matches("passed|failed, exit status \\d+|stopped at its limit|left out: .+");
            assertThat(part.get("seconds")).isInstanceOf(Number.class);
            if (part.get("report") != null) {
                report(part.get("report"));
            }
            if (part.get("log") != null) {
                assertThat(list(part.get("log"))).allMatch(String.class::isInstance);
            }
        }
        return parts;
    }

    private static void report(@Nullable Object report) {
        Map<String, Object> all =
                object(report, Set.of("facts", "failed", "comparisons", "measurements", "notes"), Set.of());
        assertThat(((Map<?, ?>) all.get("facts")).values()).allMatch(String.class::isInstance);
        assertThat(all.get("failed")).isInstanceOf(Number.class);
        for (Object row : list(all.get("comparisons"))) {
            Map<String, Object> comparison = object(row, Set.of("name", "error", "limit", "passed"), Set.of());
            assertThat(comparison.get("error"))
                    .satisfiesAnyOf(
                            e -> assertThat(e).isInstanceOf(Number.class),
                            e -> assertThat(e).isIn("NaN", "Infinity"));
            assertThat(comparison.get("limit")).isInstanceOf(Number.class);
            assertThat(comparison.get("passed")).isInstanceOf(Boolean.class);
        }
        for (Object row : list(all.get("measurements"))) {
            measurement(row);
        }
        assertThat(list(all.get("notes"))).allMatch(String.class::isInstance);
    }

    private static void measurement(@Nullable Object row) {
        Map<String, Object> measurement = object(row, Set.of("name"), ROW);
        assertThat(measurement.get("name")).isInstanceOf(String.class);
        if (measurement.containsKey("skipped")) {
            assertThat(measurement.keySet()).containsExactlyInAnyOrder("name", "skipped");
            assertThat(measurement.get("skipped")).isInstanceOf(String.class);
            return;
        }
        assertThat(measurement).containsKey("milliseconds");
        measurement.forEach((key, value) -> {
            if (!key.equals("name") && !key.equals("anchor")) {
                assertThat(((Number) value).doubleValue()).as(key).isPositive();
            }
        });
        if (measurement.containsKey("anchor")) {
            Map<String, Object> anchor =
                    object(measurement.get("anchor"), Set.of("source"), Set.of("tflops", "of_cublas"));
            assertThat(anchor).hasSize(2);
        }
    }

    @SuppressWarnings("unchecked") // keys of a JSON object are strings
    private static Map<String, Object> object(@Nullable Object value, Set<String> needed, Set<String> allowed) {
        assertThat(value).isInstanceOf(Map.class);
        Map<String, Object> map = (Map<String, Object>) value;
        assertThat(map).containsKeys(needed.toArray(String[]::new));
        assertThat(map.keySet()).allMatch(key -> needed.contains(key) || allowed.contains(key));
        return map;
    }

    private static List<?> list(@Nullable Object value) {
        assertThat(value).isInstanceOf(List.class);
        return (List<?>) value;
    }
}
