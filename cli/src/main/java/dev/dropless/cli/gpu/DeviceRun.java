package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** The expert path of one layer on one back end, all operands of one type in its memory. */
final class DeviceRun implements AutoCloseable {

    /** Rows of random numbers that are made; larger matrices repeat them. */
    private static final int RANDOM_ROWS = 512;

    private final Kernels kernels;
    private final ExpertKernels experts;
    private final Topology topology;
    private final ExpertShape shape;
    private final Activation activation;
    private final KernelMemory.Scope scope;
    private final ExpertPlan plan;
    private final ExpertWeights weights;
    private final @Nullable ExpertWeights gradients;
    private final boolean ownsWeights;
    private final Map<String, Matrix> matrices = new LinkedHashMap<>();

    /** Over weights of its own, which are equal on every back end, with gradients in F32. */
    DeviceRun(
            Kernels kernels, Topology topology, ExpertShape shape, Activation activation, ElementType type, long seed) {
        this(
                kernels,
                topology,
                activation,
                kernels.experts().allocate(shape, type),
                kernels.experts().allocate(shape, ElementType.F32),
                true);
        SplittableRandom random = new SplittableRandom(seed);
        int t = topology.tokens();
        input("x", type, t, shape.hiddenSize(), 1, random);
        input("dY", type, t, shape.hiddenSize(), 1, random);
        input("w", ElementType.F32, t, topology.topK(), 1, random);
        loadWeights(type, random);
    }

    private DeviceRun(
            Kernels kernels,
            Topology topology,
            Activation activation,
            ExpertWeights weights,
            @Nullable ExpertWeights gradients,
            boolean ownsWeights) {
        this.kernels = kernels;
        this.experts = kernels.experts();
        this.topology = topology;
        this.shape = weights.shape();
        this.activation = activation;
        this.scope = kernels.memory().open();
        this.plan = experts.plan(topology);
        this.weights = weights;
        this.gradients = gradients;
        this.ownsWeights = ownsWeights;
        ElementType type = weights.type();
        int n = topology.rows();
        int t = topology.tokens();
        matrices.put("pre", scope.allocate(type, n, shape.preActivations()));
        matrices.put("hidden", scope.allocate(type, n, shape.ffnHiddenSize()));
        matrices.put("out", scope.allocate(type, n, shape.hiddenSize()));
        matrices.put("y", scope.allocate(type, t, shape.hiddenSize()));
        if (gradients != null) {
            matrices.put("dPre", scope.allocate(type, n, shape.preActivations()));
            matrices.put("dW", scope.allocate(ElementType.F32, t, topology.topK()));
            matrices.put("dRows", scope.allocate(type, n, shape.hiddenSize()));
            matrices.put("dX", scope.allocate(type, t, shape.hiddenSize()));
        }
    }

    /**
     * Over weights of somebody else.
     *
     * @param weights not closed
     * @param gradients added to and not closed; null for a run that goes forward alone
     * @param x tokens
     * @param dY gradient of the output
     */
    static DeviceRun over(
            Kernels kernels,
            Topology topology,
            Activation activation,
            ExpertWeights weights,
            @Nullable ExpertWeights gradients,
            Matrix x,
            Matrix dY) {
        DeviceRun run = new DeviceRun(kernels, topology, activation, weights, gradients, false);
        run.matrices.put("x", x);
        run.matrices.put("dY", dY);
        Matrix w = run.scope.allocate(ElementType.F32, topology.tokens(), topology.topK());
        new RandomFill(kernels, topology.rows()).fill(w, 1);
        run.matrices.put("w", w);
        return run;
    }

    private ExpertWeights gradients() {
        return Objects.requireNonNull(gradients, "a run that goes forward alone");
    }

    private Matrix get(String name) {
        Matrix matrix = matrices.get(name);
        if (matrix == null) {
            throw new IllegalArgumentException("name: expected one of %s, found %s".formatted(matrices.keySet(), name));
        }
        return matrix;
    }

    private void input(String name, ElementType type, int rows, int columns, double scale, SplittableRandom random) {
        Matrix matrix = scope.allocate(type, rows, columns);
        try (Arena arena = Arena.ofConfined()) {
            Matrix host = Matrix.allocate(arena, type, Math.min(rows, RANDOM_ROWS), columns);
            fill(host, scale, random);
            for (int first = 0; first < rows; first += RANDOM_ROWS) {
                int count = Math.min(RANDOM_ROWS, rows - first);
                kernels.memory().copy(host.sliceRows(0, count), matrix.sliceRows(first, count));
            }
        }
        matrices.put(name, matrix);
    }

    private static void fill(Matrix matrix, double scale, SplittableRandom random) {
        for (long i = 0; i < matrix.rows(); i++) {
            for (long j = 0; j < matrix.columns(); j++) {
                matrix.set(i, j, scale * (2 * random.nextDouble() - 1) * 1.7);
            }
        }
    }

    /** Every expert gets the same numbers, in rows that start elsewhere: making them would take longer than computing with them. */
    private void loadWeights(ElementType type, SplittableRandom random) {
        for (WeightPart part : WeightPart.values()) {
            if (!shape.has(part)) {
                continue;
            }
            try (Arena arena = Arena.ofConfined()) {
                int rows = shape.columns(part); // as [out, in], which needs no transposition
                int columns = shape.rows(part);
                int extra = Math.min(7, shape.numExperts() - 1);
                Matrix host = Matrix.allocate(arena, type, (long) rows + extra, columns);
                fill(host, 1 / Math.sqrt(columns), random);
                for (int e = 0; e < shape.numExperts(); e++) {
                    weights.load(part, e, host.sliceRows(e % (extra + 1), rows), Transpose.T);
                }
            }
        }
    }

    void forward() {
        up();
        down();
        experts.combine(plan, get("out"), get("w"), get("y"), false);
    }

    void backward() {
        downDgrad();
        downWgrad();
        upDgrad();
        upWgrad();
        experts.aggregate(plan, get("dRows"), null, null, get("dX"), false, null);
    }

    void up() {
        experts.up(plan, get("x"), null, weights, activation, get("pre"), get("hidden"));
    }

    void down() {
        experts.down(plan, get("hidden"), weights, get("out"));
    }

    void downDgrad() {
        experts.downDgrad(
                plan,
                get("dY"),
                get("w"),
                weights,
                activation,
                get("pre"),
                get("hidden"),
                false,
                get("dPre"),
                get("dW"));
    }

    void downWgrad() {
        experts.downWgrad(plan, get("hidden"), get("dY"), get("w"), gradients());
    }

    void upDgrad() {
        experts.upDgrad(plan, get("dPre"), weights, get("dRows"));
    }

    void upWgrad() {
        experts.upWgrad(plan, get("x"), null, get("dPre"), gradients());
    }

    /** Results as plain numbers, by name. */
    Map<String, double[]> results() {
        Map<String, double[]> results = new LinkedHashMap<>();
        for (String name : new String[] {"pre", "hidden", "out", "y", "dPre", "dW", "dRows", "dX"}) {
            results.put(name, download(get(name)));
        }
        for (WeightPart part : WeightPart.values()) {
            for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
                try (Arena arena = Arena.ofConfined()) {
                    Matrix host = Matrix.allocate(arena, ElementType.F32, shape.rows(part), shape.columns(part));
                    gradients().store(part, e, host, Transpose.N);
                    results.put("d" + part + " of expert " + e, host.toDoubles());
                }
            }
        }
        return results;
    }

    private double[] download(Matrix matrix) {
        try (Arena arena = Arena.ofConfined()) {
            Matrix host = Matrix.allocate(arena, matrix.type(), matrix.rows(), matrix.columns());
            kernels.memory().copy(matrix, host);
            return host.toDoubles();
        }
    }

    @Override
    public void close() {
        if (ownsWeights) {
            gradients().close();
            weights.close();
        }
        plan.close();
        scope.close();
    }
}
