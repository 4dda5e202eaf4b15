package dev.dropless.cli.gpu;

import dev.dropless.safetensors.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The dense product of PyTorch, where that is installed, measured by the script in a bundle.
 *
 * @param rows as the script reports them
 * @param burst TFLOP/s in short samples
 * @param sustained TFLOP/s over seconds
 */
record TorchCeilings(List<Measured> rows, double burst, double sustained) {

    /** Names the script; set by the bundle's start script. */
    private static final String SCRIPT = "dropless.peers";

    private static final int SECONDS = 18;

    /** Runs the script in a process of its own. */
    static TorchCeilings measure() throws IOException {
        String script = System.getProperty(SCRIPT);
        if (script == null) {
            throw new IOException("its script is only in a bundle");
        }
        Path json = Files.createTempFile("dropless-torch", ".json");
        try {
            Process process = new ProcessBuilder("python3", script, "--only", "ceilings", "--json", json.toString())
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IOException("stopped after %d s".formatted(SECONDS));
            }
            if (process.exitValue() != 0) {
                throw new IOException("python3 with torch ended with status " + process.exitValue());
            }
            return of(Files.readString(json));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            Files.deleteIfExists(json);
        }
    }

    /** Takes the dense products out of the script's results. */
    static TorchCeilings of(String json) throws IOException {
        List<Measured> rows = new ArrayList<>();
        double burst = 0;
        double sustained = 0;
        for (Map<?, ?> row : measurements(Json.parse("gpu_peers.py", json))) {
            if (row.get("name") instanceof String name
                    && row.get("milliseconds") instanceof Number milliseconds
                    && row.get("tflops") instanceof Number tflops) {
                double time = milliseconds.doubleValue();
                rows.add(Measured.of(name, time).flops(tflops.doubleValue() * time * 1e9, Ceilings.UNKNOWN));
                burst = name.endsWith("burst") ? tflops.doubleValue() : burst;
                sustained = name.endsWith("sustained") ? tflops.doubleValue() : sustained;
            }
        }
        return new TorchCeilings(rows, burst, sustained);
    }

    /** Rows of all parts of a file of the form that docs/gpu-check.md describes. */
    static List<Map<?, ?>> measurements(@Nullable Object file) {
        List<Map<?, ?>> rows = new ArrayList<>();
        if (file instanceof Map<?, ?> all && all.get("parts") instanceof List<?> parts) {
            for (Object part : parts) {
                if (part instanceof Map<?, ?> one
                        && one.get("report") instanceof Map<?, ?> report
                        && report.get("measurements") instanceof List<?> measured) {
                    measured.forEach(row -> {
                        if (row instanceof Map<?, ?> values) {
                            rows.add(values);
                        }
                    });
                }
            }
        }
        return rows;
    }
}
