package dev.dropless.cli.gpu;

import dev.dropless.safetensors.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Results of one part, in the form that all parts and the peers' script share. */
public final class GpuReport {

    /** Name and version of the JSON form. */
    public static final String SCHEMA = "dropless-gpu-1";

    private final Map<String, @Nullable Object> facts = new LinkedHashMap<>();
    private final List<@Nullable Object> comparisons = new ArrayList<>();
    private final List<@Nullable Object> measurements = new ArrayList<>();
    private final List<@Nullable Object> notes = new ArrayList<>();
    private final Consumer<GpuReport> changed;
    private int failed;

    /** An empty report. */
    public GpuReport() {
        this(report -> {});
    }

    /**
     * An empty report.
     *
     * @param changed is given this after every measurement: what was measured until a part is stopped is worth having
     */
    public GpuReport(Consumer<GpuReport> changed) {
        this.changed = changed;
    }

    /**
     * States something about the machine.
     *
     * @param name of the fact
     * @param value a string or number
     */
    public void fact(String name, Object value) {
        facts.put(name, value);
    }

    /**
     * Adds a comparison.
     *
     * @param name what was compared
     * @param error what was found
     * @param limit what it may be; NaN never passes
     */
    public void compare(String name, double error, double limit) {
        compare(name, error, limit, error <= limit);
    }

    /**
     * Adds a comparison that something else than its limit decides.
     *
     * @param name what was compared
     * @param error what was found
     * @param limit what it may be without an explanation, which a note gives
     * @param passed whether it is good
     */
    public void compare(String name, double error, double limit, boolean passed) {
        if (!passed) {
            failed++;
        }
        Map<String, @Nullable Object> row = new LinkedHashMap<>();
        row.put("name", name);
        row.put("error", Double.isFinite(error) ? error : Double.toString(error));
        row.put("limit", limit);
        row.put("passed", passed);
        comparisons.add(row);
    }

    /** Adds a row of measurements. */
    void add(Measured row) {
        measurements.add(row.values());
        changed.accept(this);
    }

    /**
     * Says what was left out, and why.
     *
     * @param note one line
     */
    public void note(String note) {
        notes.add(note);
    }

    /**
     * Returns how many comparisons failed.
     *
     * @return 0 if all passed
     */
    public int failed() {
        return failed;
    }

    /**
     * Returns the report as JSON.
     *
     * @return an object with facts, comparisons, measurements and notes
     */
    public String json() {
        Map<String, @Nullable Object> all = new LinkedHashMap<>();
        all.put("facts", facts);
        all.put("failed", failed);
        all.put("comparisons", comparisons);
        all.put("measurements", measurements);
        all.put("notes", notes);
        return Json.writePretty(all);
    }
}
