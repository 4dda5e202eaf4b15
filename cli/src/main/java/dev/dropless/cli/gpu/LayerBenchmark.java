package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.RecordedWork;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** Times a layer of a published model, whole and its experts alone, as calls and as a recorded graph, beside ceilings, floors and published figures. */
final class LayerBenchmark {

    /** Batches of other tokens that a short pass takes in turn, so that the weights it reads are not the last one's. */
    private static final int SHORT_BATCHES = 8;

    private final Kernels kernels;
    private final Ceilings ceilings;
    private final GpuReport report;
    private final boolean quick;
    private final long deadline;

    /**
     * Prepares measurements.
     *
     * @param deadline of {@link System#nanoTime}, after which no row is begun
     */
    LayerBenchmark(Kernels kernels, Ceilings ceilings, GpuReport report, boolean quick, long deadline) {
        this.kernels = kernels;
        this.ceilings = ceilings;
        this.report = report;
        this.quick = quick;
        this.deadline = deadline;
    }

    /**
     * Measures one shape; where the device has too little memory the report says so.
     *
     * @param prefix before the shape's name in reports
     */
    void measure(BenchmarkShape shape, String prefix) {
        String name = prefix + shape.name();
        if (!fits(shape, name)) {
            return;
        }
        try (LayerOperands operands = new LayerOperands(kernels, shape, shape.trains() ? 1 : SHORT_BATCHES);
                Timing timing = new Timing(kernels, quick)) {
            report.fact(name + " routing", operands.routingPlace());
            Floor forward = Floor.forward(shape, operands.activeExperts());
            Rows layer = new Rows(shape, timing, name + " layer ", forward);
            layer.row("inference", operands::infer, operands.batches(), forward, null);
            if (shape.trains()) {
                layer.training(operands::forward, operands::train);
            }
            try (DeviceRun experts = operands.experts()) {
                Rows alone = new Rows(shape, timing, name + " experts ", forward);
                if (shape.trains()) {
                    alone.training(experts::forward, () -> {
                        experts.forward();
                        experts.backward();
                    });
                } else {
                    alone.row("inference", experts::forward, 1, forward, null);
                }
            }
        }
    }

    /** Measures the down projection of a shape alone: a grouped product as others measure it. */
    void measureDown(BenchmarkShape shape) {
        if (!fits(shape, shape.name())) {
            return;
        }
        try (LayerOperands operands = new LayerOperands(kernels, shape, 1);
                DeviceRun experts = operands.experts();
                Timing timing = new Timing(kernels, quick)) {
            experts.up();
            Floor floor = Floor.down(shape);
            new Rows(shape, timing, shape.name() + " ", floor).row("down", experts::down, 1, floor, shape.forward());
        }
    }

    private boolean fits(BenchmarkShape shape, String name) {
        OptionalLong available = kernels.memory().available();
        if (available.isEmpty() || available.getAsLong() >= shape.bytes()) {
            return true;
        }
        report.add(Measured.skipped(
                name,
                String.format(
                        Locale.ROOT,
                        "needs %.1f GB of device memory, %.1f are free",
                        shape.bytes() / 1e9,
                        available.getAsLong() / 1e9)));
        return false;
    }

    /** Rows of one way to compute a shape. */
    private final class Rows {

        private final BenchmarkShape shape;
        private final Timing timing;
        private final String name;
        private final Floor forward;

        Rows(BenchmarkShape shape, Timing timing, String name, Floor forward) {
            this.shape = shape;
            this.timing = timing;
            this.name = name;
            this.forward = forward;
        }

        /** A pass forward, both passes, and their difference: what saving costs belongs to the former. */
        void training(Runnable save, Runnable train) {
            Floor backward = Floor.backward(shape, shape.numExperts());
            double[] saving = row("forward", save, 1, forward, shape.forward());
            double[] both = row("training", train, 1, forward.and(backward), shape.training());
            List<String> ways = List.of("", ", graph");
            for (int i = 0; i < ways.size(); i++) {
                double difference = both[i] - saving[i];
                if (difference > 0) { // NaN where one was not measured
                    add("backward" + ways.get(i), difference, backward, shape.backward());
                }
            }
        }

        /** Milliseconds of one pass, called and recorded; NaN for what was not measured. */
        double[] row(String what, Runnable work, int passes, Floor floor, @Nullable Anchor anchor) {
            double called = late(what) ? Double.NaN : timing.median(work) / passes;
            if (!Double.isNaN(called)) {
                add(what, called, floor, anchor);
            }
            String graph = what + ", graph";
            if (late(graph)) {
                return new double[] {called, Double.NaN};
            }
            try (RecordedWork recorded = kernels.record(work)) {
                if (recorded == null) {
                    report.add(Measured.skipped(name + graph, "this back end records no graphs"));
                    return new double[] {called, Double.NaN};
                }
                double replayed = timing.median(recorded::launch) / passes;
                add(graph, replayed, floor, anchor);
                return new double[] {called, replayed};
            }
        }

        private void add(String what, double milliseconds, Floor floor, @Nullable Anchor anchor) {
            report.add(Measured.of(name + what, milliseconds)
                    .flops(floor.flops(), ceilings)
                    .floor(floor.milliseconds(ceilings))
                    .anchor(anchor));
        }

        private boolean late(String what) {
            boolean late = System.nanoTime() - deadline > 0;
            if (late) {
                report.add(Measured.skipped(name + what, "the part's time was up"));
            }
            return late;
        }
    }
}
