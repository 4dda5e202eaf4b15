package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;

/** Layers of published models and block-sparse products on a device, one after the other; one that fails takes no other with it. */
public final class ShapeBenchmarks {

    private final Kernels kernels;
    private final Ceilings ceilings;
    private final GpuReport report;
    private final boolean quick;
    private final long deadline;

    /**
     * Prepares measurements.
     *
     * @param kernels the back end
     * @param ceilings what the device reaches at its best
     * @param report receives the results
     * @param quick whether sizes are so small that times mean nothing
     * @param deadline of {@link System#nanoTime}, after which no row is begun
     */
    public ShapeBenchmarks(Kernels kernels, Ceilings ceilings, GpuReport report, boolean quick, long deadline) {
        this.kernels = kernels;
        this.ceilings = ceilings;
        this.report = report;
        this.quick = quick;
        this.deadline = deadline;
    }

    /**
     * Measures the layers of a part.
     *
     * @param part its name
     * @return false if no layer belongs to it
     */
    public boolean part(String part) {
        if (part.equals(BenchmarkShape.GROUPED)) {
            guard(part, () -> layers().measureDown(BenchmarkShape.grouped(quick)));
            return true;
        }
        List<BenchmarkShape> shapes = BenchmarkShape.of(part, quick);
        shapes.forEach(shape -> measure(shape, ""));
        return !shapes.isEmpty();
    }

    /**
     * Measures layers by their names.
     *
     * @param names of shapes
     * @param prefix before names in reports
     */
    public void named(List<String> names, String prefix) {
        names.forEach(name -> measure(BenchmarkShape.named(name, quick), prefix));
    }

    /** Measures block-sparse products. */
    public void blocks() {
        new BlockBenchmark(kernels, ceilings, report, quick).run(deadline);
    }

    private void measure(BenchmarkShape shape, String prefix) {
        guard(prefix + shape.name(), () -> layers().measure(shape, prefix));
    }

    private LayerBenchmark layers() {
        return new LayerBenchmark(kernels, ceilings, report, quick, deadline);
    }

    private void guard(String name, Runnable work) {
        try {
            work.run();
        } catch (RuntimeException e) {
            report.note("%s: %s".formatted(name, e.getMessage()));
            report.compare(name + " runs", 1, 0);
        }
    }
}
