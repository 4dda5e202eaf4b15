package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.LaunchTuning;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Times every way in which a back end can launch its products at the benchmark shapes, and at few rows per expert between them, and writes down what is fastest by rows per
 * expert. Shapes with as many rows per expert vote by how much longer each way takes than the best one.
 */
public final class LaunchTuner {

    /** Fewer and fewer rows per expert: tokens of a layer of 128 experts of which each takes 8. */
    private static final List<Integer> FEW = List.of(64, 256, 512, 1024, 2048, 8192);

    private static final String FEW_ROWS = "qwen3-30b-a3b";

    /** A way that is so much slower than another needs no second sample. */
    private static final double HOPELESS = 1.5;

    private static final String DENSE = "matmul_nt";
    private static final String BLOCKS = "blocks";
    private static final int DENSE_SIZE = 8192;

    private final Kernels kernels;
    private final GpuReport report;
    private final boolean quick;
    private final long deadline;
    private final Map<String, NavigableMap<Long, Map<String, Double>>> slowdowns = new TreeMap<>();

    /**
     * Prepares the measurements.
     *
     * @param kernels the back end
     * @param report receives a row for each way
     * @param quick whether sizes are so small that times mean nothing
     * @param deadline of {@link System#nanoTime}, after which no operation is begun
     */
    public LaunchTuner(Kernels kernels, GpuReport report, boolean quick, long deadline) {
        this.kernels = kernels;
        this.report = report;
        this.quick = quick;
        this.deadline = deadline;
    }

    /**
     * Measures.
     *
     * @param tuning of the same back end; reset at the end
     * @return the file of choices
     */
    public String run(LaunchTuning tuning) {
        try (Timing timing = new Timing(kernels, quick)) {
            dense(tuning, timing);
            for (BenchmarkShape shape : shapes()) {
                OptionalLong available = kernels.memory().available();
                if (available.isPresent() && available.getAsLong() < shape.bytes()) {
                    report.add(Measured.skipped("tune " + shape.name(), "needs more device memory than is free"));
                    continue;
                }
                experts(shape, tuning, timing);
            }
        } finally {
            tuning.reset();
        }
        return tuning.file(best());
    }

    private List<BenchmarkShape> shapes() {
        if (quick) {
            return List.of(BenchmarkShape.named("olmoe-1b-7b", true), BenchmarkShape.named("decode-qwen3-t16", true));
        }
        List<BenchmarkShape> shapes = new ArrayList<>(BenchmarkShape.ALL);
        BenchmarkShape few = BenchmarkShape.named(FEW_ROWS, false);
        FEW.forEach(tokens -> shapes.add(few.withTokens(tokens)));
        return shapes;
    }

    private void dense(LaunchTuning tuning, Timing timing) {
        int size = quick ? 64 : DENSE_SIZE;
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            RandomFill random = new RandomFill(kernels, size);
            Matrix a = random.matrix(scope, ElementType.BF16, size, size, 1);
            Matrix b = random.matrix(scope, ElementType.BF16, size, size, 1);
            Matrix c = scope.allocate(ElementType.BF16, size, size);
            String name = "%d^3".formatted(size);
            operation(
                    DENSE,
                    name,
                    size,
                    () -> kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.T, c, false),
                    tuning,
                    timing);
            operation(
                    BLOCKS,
                    name,
                    size,
                    () -> kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.N, c, false),
                    tuning,
                    timing);
        }
    }

    private void experts(BenchmarkShape shape, LaunchTuning tuning, Timing timing) {
        try (LayerOperands operands = new LayerOperands(kernels, shape, 1);
                DeviceRun run = operands.experts()) {
            run.forward();
            long rows = Math.ceilDiv(shape.rows(), (long) shape.numExperts());
            String name = "%s T=%d".formatted(shape.name(), shape.tokens());
            operation("up", name, rows, run::up, tuning, timing);
            operation("down", name, rows, run::down, tuning, timing);
            if (shape.trains()) {
                operation("down_dgrad", name, rows, run::downDgrad, tuning, timing);
                operation("up_dgrad", name, rows, run::upDgrad, tuning, timing);
                operation("up_wgrad", name, rows, run::upWgrad, tuning, timing);
                operation("down_wgrad", name, rows, run::downWgrad, tuning, timing);
            }
        }
    }

    private void operation(
            String operation, String name, long rows, Runnable work, LaunchTuning tuning, Timing timing) {
        if (System.nanoTime() - deadline > 0) {
            report.add(Measured.skipped("tune %s %s".formatted(operation, name), "the part's time was up"));
            return;
        }
        Map<String, Double> times = new HashMap<>();
        double best = Double.MAX_VALUE;
        for (String candidate : tuning.candidates(operation)) {
            tuning.use(operation, candidate);
            double time = timing.glance(work);
            time = time > HOPELESS * best ? time : timing.median(work);
            best = Math.min(best, time);
            times.put(candidate, time);
            report.add(Measured.of("tune %s %s %s".formatted(operation, name, candidate), time));
        }
        tuning.reset();
        Map<String, Double> sums =
                slowdowns.computeIfAbsent(operation, o -> new TreeMap<>()).computeIfAbsent(rows, r -> new HashMap<>());
        double fastest = best;
        times.forEach((candidate, time) -> sums.merge(candidate, time / fastest, Double::sum));
    }

    /** Lines begin half-way, by ratio, between numbers of rows that were measured, and where they change. */
    private SortedMap<String, SortedMap<Long, String>> best() {
        SortedMap<String, SortedMap<Long, String>> lines = new TreeMap<>();
        slowdowns.forEach((operation, measured) -> {
            SortedMap<Long, String> own = new TreeMap<>();
            String last = "";
            long before = 0;
            for (var entry : measured.entrySet()) {
                String winner = entry.getValue().entrySet().stream()
                        .min(Map.Entry.<String, Double>comparingByValue().thenComparing(Map.Entry.comparingByKey()))
                        .orElseThrow()
                        .getKey();
                if (!winner.equals(last)) {
                    own.put(before == 0 ? 0 : (long) Math.ceil(Math.sqrt((double) before * entry.getKey())), winner);
                }
                last = winner;
                before = entry.getKey();
            }
            lines.put(operation, own);
        });
        return lines;
    }
}
