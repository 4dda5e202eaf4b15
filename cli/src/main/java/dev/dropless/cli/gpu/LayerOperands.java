package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeInitializer;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A whole layer in bfloat16 with random parameters, gradients in bfloat16, and batches of random tokens that its router spreads evenly. */
final class LayerOperands implements AutoCloseable {

    private static final ForwardOptions OPTIONS = ForwardOptions.evaluation();

    private final Kernels kernels;
    private final BenchmarkShape shape;
    private final MoeLayer layer;
    private final @Nullable MoeGradients gradients;
    private final KernelMemory.Scope scope;
    private final List<Matrix> batches = new ArrayList<>();
    private final Matrix y;
    private final Matrix dY;
    private final Matrix dX;

    /**
     * Allocates and fills everything.
     *
     * @param count of batches of different tokens
     */
    LayerOperands(Kernels kernels, BenchmarkShape shape, int count) {
        this.kernels = kernels;
        this.shape = shape;
        this.layer = MoeLayer.create(kernels, shape.config(), Precision.BF16);
        this.gradients = shape.trains() ? layer.newGradients(Trainable.all(), ElementType.BF16) : null;
        this.scope = kernels.memory().open();
        RandomFill random = new RandomFill(kernels, 1);
        int h = shape.hiddenSize();
        initialize(random);
        for (int i = 0; i < count; i++) {
            batches.add(random.matrix(scope, ElementType.BF16, shape.tokens(), h, 1));
        }
        this.y = scope.allocate(ElementType.BF16, shape.tokens(), h);
        this.dY = random.matrix(scope, ElementType.BF16, shape.tokens(), h, 1);
        this.dX = scope.allocate(ElementType.BF16, shape.tokens(), h);
    }

    /** On a device in its own memory; elsewhere through the layout's own import, since it may have padding. */
    private void initialize(RandomFill random) {
        double input = 1 / Math.sqrt(shape.hiddenSize());
        double output = 1 / Math.sqrt(shape.ffnHiddenSize());
        if (kernels.memory().space().isHost()) {
            new MoeInitializer(input, output).initialize(layer.parameters(), 1);
            return;
        }
        random.fill(layer.parameters().routerWeight(), input);
        for (Matrix matrix : layer.parameters().experts().storage()) {
            random.fill(matrix, input);
        }
    }

    /** Where routing is decided. */
    String routingPlace() {
        return layer.routingPlace();
    }

    int batches() {
        return batches.size();
    }

    /** Every batch once, nothing kept. */
    void infer() {
        batches.forEach(x -> layer.infer(x, y, OPTIONS));
    }

    /** The first batch; what backward needs is made and dropped. */
    void forward() {
        save().close();
    }

    /** Forward and backward of the first batch. */
    void train() {
        layer.backward(save(), dY, dX, gradients, List.of());
    }

    /** Keeps tokens, routing and pre-activations, as published training figures do. */
    private SavedState save() {
        return layer.forwardTraining(
                batches.getFirst(), y, OPTIONS, MemoryPolicy.RECOMPUTE_ACTIVATION, Trainable.all());
    }

    /** The routing of a batch. */
    private Topology topology(Matrix x) {
        return Topology.of(layer.forward(x, y, OPTIONS).expertIds(), shape.topK(), shape.numExperts());
    }

    /** Experts that have rows, on the average of all batches. */
    double activeExperts() {
        double active = 0;
        for (Matrix x : batches) {
            Topology topology = topology(x);
            for (int e = 0; e < shape.numExperts(); e++) {
                active += topology.tokensPerExpert(e) > 0 ? 1 : 0;
            }
        }
        return active / batches.size();
    }

    /** The experts of this layer alone, on the first batch. */
    DeviceRun experts() {
        ExpertWeights sums = gradients == null ? null : Objects.requireNonNull(gradients.experts());
        Matrix x = batches.getFirst();
        return DeviceRun.over(
                kernels, topology(x), shape.activation(), layer.parameters().experts(), sums, x, dY);
    }

    @Override
    public void close() {
        scope.close();
        if (gradients != null) {
            gradients.close();
        }
        layer.close();
    }
}
