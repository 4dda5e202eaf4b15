package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.Task;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * What one arm took for one task.
 *
 * @param cell what was compared
 * @param arm who computed
 * @param medianSeconds median of the samples
 * @param minSeconds fastest sample
 * @param cpuSeconds median processor time, or 0 where several threads compute
 * @param allocatedBytes median of what all threads allocate on the Java heap in a run
 * @param profiledBytes gc.alloc.rate.norm of JMH's profiler: the mean, with JMH's own work; -1 where it found none
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
        long allocatedBytes,
        double profiledBytes,
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
     *     the processor has none, or nobody asked
     * @param int8Gops 10^9 operations per second in dot products of four bytes (vpdpbusd); 0 likewise
     */
    public record Peak(double gflops, double readGigabytes, double bf16Gflops, double int8Gops) {

        /**
         * Chooses the higher figures.
         *
         * @param other measured at another time
         * @return what the machine reached at least once
         */
        Peak max(Peak other) {
            return new Peak(
                    Math.max(gflops, other.gflops),
                    Math.max(readGigabytes, other.readGigabytes),
                    Math.max(bf16Gflops, other.bf16Gflops),
                    Math.max(int8Gops, other.int8Gops));
        }
    }

    /**
     * What a row is compared with.
     *
     * @param peak of the same run, with as many threads
     * @param others rows of the same task, by arm, this one among them
     * @param single the same arm and task with one thread, if that was measured too
     * @param singlePeak with one thread, if that was measured
     */
    record Context(
            Peak peak,
            Map<String, Row> others,
            @Nullable Row single,
            @Nullable Peak singlePeak) {}

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
     * @param context what the row is compared with
     * @return strings, numbers, and maps of numbers
     */
    Map<String, Object> values(Context context) {
        Task task = cell.task();
        Peak peak = context.peak();
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
        values.put("padded_gflops", computedGflops());
        values.put("bytes_per_s", bytesPerSecond());
        values.put("read_bandwidth_fraction", bytesPerSecond() / 1e9 / peak.readGigabytes());
        values.put("f32_peak_gflops", peak.gflops());
        values.put("read_bandwidth_bytes_per_s", peak.readGigabytes() * 1e9);
        narrowPeak("bf16", peak.bf16Gflops(), values);
        narrowPeak("int8", peak.int8Gops(), values);
        values.put("allocated_bytes_per_run", allocatedBytes);
        if (profiledBytes >= 0) {
            values.put("gc_alloc_rate_norm", profiledBytes);
        }
        if (cpuSeconds > 0) {
            values.put("cpu_median_s", cpuSeconds);
        }
        values.put("samples", samples);
        values.put("max_relative_error", maxRelativeError);
        values.put("description", description);
        values.put("speedup_over", ratios(context.others(), Row::medianSeconds));
        if (cpuSeconds > 0) {
            values.put("cpu_speedup_over", ratios(context.others(), Row::cpuSeconds));
        }
        if (context.single() != null && context.singlePeak() != null) {
            values.put("speedup_over_one_thread", context.single().medianSeconds / medianSeconds);
            values.put("min_speedup_over_one_thread", context.single().minSeconds / minSeconds);
            values.put(
                    "peak_over_one_thread", peak.gflops() / context.singlePeak().gflops());
        }
        return values;
    }

    private void narrowPeak(String dtype, double gflops, Map<String, Object> values) {
        if (gflops > 0 && cell.task().dtype().equals(dtype)) {
            values.put(dtype + "_peak_fraction", usefulGflops() / gflops);
            values.put(dtype + "_peak_gflops", gflops);
        }
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
