package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.Task;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * What one arm took for one task.
 *
 * @param cell what was compared
 * @param arm who computed
 * @param medianSeconds median of the samples
 * @param minSeconds fastest sample
 * @param cpuSeconds median processor time, or 0 where several threads compute
 * @param samples how many runs were timed
 * @param computedFlops operations done, padding included
 * @param description what computed
 * @param maxRelativeError what the check found
 */
public record Row(
        Cell cell,
        String arm,
        double medianSeconds,
        double minSeconds,
        double cpuSeconds,
        long samples,
        double computedFlops,
        String description,
        double maxRelativeError) {

    /**
     * What the machine can do, measured in the same run.
     *
     * @param gflops 10^9 single-precision operations per second of all threads together
     * @param readGigabytes 10^9 bytes per second, read by all threads together
     * @param bf16Gflops 10^9 operations per second in dot products of bfloat16 pairs (vdpbf16ps), which may be fewer than in single precision; 0 where
     *     the processor has none
     */
    public record Peak(double gflops, double readGigabytes, double bf16Gflops) {}

    /**
     * Returns the useful rate.
     *
     * @return 10^9 operations per second by the median, padding not counted
     */
    public double usefulGflops() {
        return cell.task().usefulFlops() / medianSeconds / 1e9;
    }

    /**
     * Returns the rate with padding.
     *
     * @return 10^9 operations per second by the median
     */
    public double computedGflops() {
        return computedFlops / medianSeconds / 1e9;
    }

    /**
     * Returns the rate of memory traffic that cannot be avoided.
     *
     * @return bytes per second by the median
     */
    public double bytesPerSecond() {
        return cell.task().compulsoryBytes() / medianSeconds;
    }

    /**
     * Returns everything, in the order of the report.
     *
     * @param peak of the same run
     * @param others rows of the same task, by arm, this one among them
     * @return strings, numbers, and one map of numbers
     */
    public Map<String, Object> values(Peak peak, Map<String, Row> others) {
        Task task = cell.task();
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("suite", cell.suite());
        values.put("shape", task.shape());
        values.put("tokens", task.tokens());
        values.put("routing", task.routing());
        values.put("pass", task.pass());
        values.put("arm", arm);
        values.put("dtype", task.dtype());
        values.put("threads", task.threads());
        values.put("median_s", medianSeconds);
        values.put("min_s", minSeconds);
        values.put("useful_gflops", usefulGflops());
        values.put("peak_fraction", usefulGflops() / peak.gflops());
        if (peak.bf16Gflops() > 0 && task.dtype().equals("bf16")) {
            values.put("bf16_peak_fraction", usefulGflops() / peak.bf16Gflops());
            values.put("bf16_peak_gflops", peak.bf16Gflops());
        }
        values.put("padded_gflops", computedGflops());
        values.put("bytes_per_s", bytesPerSecond());
        values.put("read_bandwidth_fraction", bytesPerSecond() / 1e9 / peak.readGigabytes());
        values.put("f32_peak_gflops", peak.gflops());
        values.put("read_bandwidth_bytes_per_s", peak.readGigabytes() * 1e9);
        if (cpuSeconds > 0) {
            values.put("cpu_median_s", cpuSeconds);
        }
        values.put("samples", samples);
        values.put("max_relative_error", maxRelativeError);
        values.put("description", description);
        values.put("speedup_over", ratios(others, Row::medianSeconds));
        if (cpuSeconds > 0) {
            values.put("cpu_speedup_over", ratios(others, Row::cpuSeconds));
        }
        return values;
    }

    private Map<String, Object> ratios(Map<String, Row> others, ToDoubleFunction<Row> time) {
        Map<String, Object> ratios = new LinkedHashMap<>();
        others.forEach((name, other) -> {
            if (!name.equals(arm)) {
                ratios.put(name, time.applyAsDouble(other) / time.applyAsDouble(this));
            }
        });
        return ratios;
    }
}
