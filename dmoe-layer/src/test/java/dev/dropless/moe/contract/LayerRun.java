package dev.dropless.moe.contract;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.LayerTensors;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.Routing;
import dev.dropless.topology.Topology;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A layer with seeded parameters and a batch in its back end's memory. Parameters and batch are the same floats for every back end. */
public final class LayerRun implements AutoCloseable {

    private final KernelMemory memory;
    private final KernelMemory.Scope scope;
    private final MoeConfig config;
    private final MoeLayer layer;
    private final MoeGradients gradients;
    private final Matrix x;
    private final Matrix dY;
    private final Matrix y;
    private final Matrix dX;
    private @Nullable Routing routing;
    private @Nullable Topology topology;

    public LayerRun(Kernels kernels, MoeConfig config, Precision precision, int tokens) {
        this(kernels, config, precision, precision.router(), tokens);
    }

    /** With a type for the batch and its results. */
    public LayerRun(Kernels kernels, MoeConfig config, Precision precision, ElementType type, int tokens) {
        this.memory = kernels.memory();
        this.scope = memory.open();
        this.config = config;
        this.layer = MoeLayer.create(kernels, config, precision);
        this.gradients = layer.newGradients(Trainable.all(), precision.router());
        Random random = new Random(41);
        fill(layer.parameters(), random);
        this.x = scope.allocate(type, tokens, config.hiddenSize());
        this.dY = scope.allocate(type, tokens, config.hiddenSize());
        this.y = scope.allocate(type, tokens, config.hiddenSize());
        this.dX = scope.allocate(type, tokens, config.hiddenSize());
        newBatch(5);
    }

    /** Other tokens at the same place. */
    public void newBatch(long seed) {
        Random random = new Random(seed);
        memory.copy(normal(random, x.rows(), x.columns(), 1), x);
        memory.copy(normal(random, x.rows(), x.columns(), 1), dY);
    }

    private static Matrix normal(Random random, long rows, long columns, double scale) {
        double[] values = new double[Math.toIntExact(rows * columns)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (scale * random.nextGaussian());
        }
        return Matrix.of(values, rows, columns);
    }

    private void fill(MoeParameters parameters, Random random) {
        matrices(parameters)
                .forEach((name, matrix) -> memory.copy(normal(random, matrix.rows(), matrix.columns(), 0.4), matrix));
        Matrix selection = parameters.selectionBias();
        if (selection != null) {
            memory.copy(normal(random, 1, selection.columns(), 0.2), selection);
        }
        experts(parameters, parameters.experts()).forEach((name, part) -> part.load(random));
    }

    /** One part of one expert. */
    private record Part(ExpertWeights weights, WeightPart part, int expert) {
        void load(Random random) {
            ExpertShape shape = weights.shape();
            weights.load(part, expert, normal(random, shape.rows(part), shape.columns(part), 0.3), Transpose.N);
        }

        double[] store() {
            ExpertShape shape = weights.shape();
            double[] values = new double[Math.toIntExact((long) shape.rows(part) * shape.columns(part))];
            weights.store(part, expert, Matrix.of(values, shape.rows(part), shape.columns(part)), Transpose.N);
            return values;
        }
    }

    private static Map<String, Part> experts(LayerTensors tensors, @Nullable ExpertWeights routed) {
        Map<String, Part> parts = new LinkedHashMap<>();
        Map<String, @Nullable ExpertWeights> groups = new LinkedHashMap<>();
        groups.put("experts", routed);
        groups.put("shared", tensors.shared());
        groups.forEach((name, weights) -> {
            for (WeightPart part : WeightPart.values()) {
                for (int e = 0;
                        weights != null
                                && has(weights.shape(), part)
                                && e < weights.shape().numExperts();
                        e++) {
                    parts.put("%s.%d.%s".formatted(name, e, part), new Part(weights, part, e));
                }
            }
        });
        return parts;
    }

    private static boolean has(ExpertShape shape, WeightPart part) {
        return switch (part) {
            case GATE, DOWN -> true;
            case UP -> shape.gated();
            case GATE_BIAS -> shape.inputBias();
            case UP_BIAS -> shape.gated() && shape.inputBias();
            case DOWN_BIAS -> shape.outputBias();
        };
    }

    private Map<String, Matrix> matrices(LayerTensors tensors) {
        Map<String, Matrix> all = new LinkedHashMap<>();
        Matrix router = tensors instanceof MoeParameters p
                ? p.routerWeight()
                : Objects.requireNonNull(((MoeGradients) tensors).routerWeight());
        all.put("router", router);
        put(all, "routerBias", tensors.routerBias());
        put(all, "noise", tensors.noiseWeight());
        put(all, "sharedGate", tensors.sharedGate());
        put(all, "latentIn", tensors.latentIn());
        put(all, "latentOut", tensors.latentOut());
        put(all, "outputBias", tensors.outputBias());
        return all;
    }

    private static void put(Map<String, Matrix> all, String name, @Nullable Matrix matrix) {
        if (matrix != null) {
            all.put(name, matrix);
        }
    }

    public MoeLayer layer() {
        return layer;
    }

    /** Forward alone, telling nothing. */
    public void infer(ForwardOptions options) {
        layer.infer(x, y, options);
    }

    /** Forward and backward without losses; gradients add up. */
    public void forwardAndBackward(ForwardOptions options, MemoryPolicy policy) {
        try (SavedState saved = layer.forwardTraining(x, y, options, policy, Trainable.all())) {
            layer.backward(saved, dY, dX, gradients, List.of());
        }
    }

    public void zeroGradients() {
        gradients.zero();
    }

    /** Zeroes the gradients, computes forward, asks for losses, computes backward. */
    public void step(ForwardOptions options, MemoryPolicy policy, Function<SavedState, List<LossValue>> losses) {
        gradients.zero();
        try (SavedState saved = layer.forwardTraining(x, y, options, policy, Trainable.all())) {
            List<LossValue> terms = losses.apply(saved);
            if (!terms.isEmpty()) {
                routing = saved.routing();
                topology = saved.topology();
            }
            layer.backward(saved, dY, dX, gradients, terms);
        }
    }

    public Routing routing() {
        return Objects.requireNonNull(routing);
    }

    public Topology topology() {
        return Objects.requireNonNull(topology);
    }

    public double[] y() {
        return toHost(y);
    }

    public double[] dX() {
        return toHost(dX);
    }

    /** Every gradient by name. */
    public Map<String, double[]> gradients() {
        Map<String, double[]> all = new LinkedHashMap<>();
        matrices(gradients).forEach((name, matrix) -> all.put(name, toHost(matrix)));
        experts(gradients, gradients.experts()).forEach((name, part) -> all.put(name, part.store()));
        return all;
    }

    private double[] toHost(Matrix matrix) {
        double[] values = new double[Math.toIntExact(matrix.rows() * matrix.columns())];
        memory.copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    public MoeConfig config() {
        return config;
    }

    @Override
    public void close() {
        gradients.close();
        layer.close();
        scope.close();
    }
}
