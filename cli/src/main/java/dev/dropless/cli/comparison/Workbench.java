package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.DropReport;
import dev.dropless.moe.padded.PaddedExecution;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.Routing;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** One layer and one batch, computed dropless and padded on the same parameters. Host back ends only. */
public final class Workbench implements AutoCloseable {

    private final Kernels kernels;
    private final KernelMemory.Scope scope;
    private final LayerShape shape;
    private final MoeConfig config;
    private final MoeLayer dropless;
    private final List<MoeLayer> padded = new ArrayList<>();
    private final Matrix x;
    private final Matrix dY;
    private final Matrix y;
    private final Matrix dX;
    private final MoeGradients gradients;
    private final Routing routing;
    private final Topology topology;

    /**
     * Creates the layer and routes the batch.
     *
     * @param kernels computes; closed by the caller, after this
     * @param shape sizes of the layer
     * @param router decides which experts compute
     * @param seed seed of the parameters
     * @param x tokens [T, H], row-major
     * @param dY gradient of the output [T, H], row-major
     */
    public Workbench(Kernels kernels, LayerShape shape, Router router, long seed, float[] x, float[] dY) {
        this.kernels = kernels;
        this.shape = shape;
        this.config = shape.config(router);
        int tokens = x.length / config.hiddenSize();
        this.scope = kernels.memory().open();
        this.x = copied(x, tokens);
        this.dY = copied(dY, tokens);
        this.y = scope.allocate(ElementType.F32, tokens, config.hiddenSize());
        this.dX = scope.allocate(ElementType.F32, tokens, config.hiddenSize());
        this.dropless = MoeLayer.create(kernels, config, Precision.F32);
        shape.initializer().initialize(dropless.parameters(), seed);
        this.gradients = dropless.newGradients(Trainable.all(), ElementType.F32);
        this.routing = dropless.forward(this.x, y, ForwardOptions.evaluation());
        this.topology = Topology.of(routing.expertIds(), routing.topK(), routing.numExperts());
    }

    private Matrix copied(float[] values, int tokens) {
        Matrix matrix = scope.allocate(ElementType.F32, tokens, config.hiddenSize());
        kernels.memory().copy(Matrix.of(values, tokens, config.hiddenSize()), matrix);
        return matrix;
    }

    /**
     * Returns the router's decision.
     *
     * @return the routing of the batch
     */
    public Routing routing() {
        return routing;
    }

    /**
     * Returns the assignments, sorted by expert.
     *
     * @return the topology of the batch
     */
    public Topology topology() {
        return topology;
    }

    /**
     * The dropless layer.
     *
     * @return a contender that drops nothing and pads nothing
     */
    public Contender dropless() {
        DropReport none = DropReport.of(topology, CapacityPolicy.maximumLoad(), 1);
        return new Contender(
                "dropless",
                dropless,
                new DropReport(1, topology.rows(), topology.rows(), new int[0], none.droppedByPosition()));
    }

    /**
     * The padded layer that drops nothing.
     *
     * @return padded to the busiest expert's load
     */
    public Contender paddedToMaximumLoad() {
        return padded("padded, no drop", CapacityPolicy.maximumLoad());
    }

    /**
     * The padded layer with a capacity factor.
     *
     * @param factor capacity factor
     * @return padded to capacity, dropping what exceeds it
     */
    public Contender padded(double factor) {
        return padded(String.format(Locale.ROOT, "padded, factor %.2f", factor), CapacityPolicy.factor(factor));
    }

    private Contender padded(String name, CapacityPolicy capacity) {
        MoeLayer layer = PaddedExecution.layerLike(kernels, dropless, capacity);
        padded.add(layer);
        return new Contender(name, layer, DropReport.of(topology, capacity, 1));
    }

    /**
     * Computes forward and backward.
     *
     * @param layer a contender's layer
     * @return everything it computed
     */
    public Outcome compute(MoeLayer layer) {
        gradients.zero();
        pass(layer);
        return new Outcome(
                y.toDoubles(), dX.toDoubles(), Outcome.router(gradients), Outcome.experts(config, gradients));
    }

    private void pass(MoeLayer layer) {
        SavedState saved =
                layer.forwardTraining(x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
        layer.backward(saved, dY, dX, gradients, List.of());
    }

    /**
     * Times forward and backward of several contenders, taking turns so that a disturbance hits all of them alike.
     *
     * @param contenders what to time
     * @param warmUps rounds before the first measured one
     * @param runs measured rounds, 1 or more
     * @param afterEach is run after every pass
     * @return a timing for each contender, in order
     */
    public List<Timing> time(List<Contender> contenders, int warmUps, int runs, Runnable afterEach) {
        long[][] forward = new long[contenders.size()][runs];
        long[][] backward = new long[contenders.size()][runs];
        for (int round = -warmUps; round < runs; round++) {
            for (int c = 0; c < contenders.size(); c++) {
                MoeLayer layer = contenders.get(c).layer();
                long start = System.nanoTime();
                SavedState saved = layer.forwardTraining(
                        x, y, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
                long middle = System.nanoTime();
                layer.backward(saved, dY, dX, gradients, List.of());
                long end = System.nanoTime();
                if (round >= 0) {
                    forward[c][round] = middle - start;
                    backward[c][round] = end - middle;
                }
                afterEach.run();
            }
        }
        List<Timing> timings = new ArrayList<>();
        for (int c = 0; c < contenders.size(); c++) {
            timings.add(Timing.of(forward[c], backward[c]));
        }
        return timings;
    }

    /**
     * Computes some of the tokens in another way: with the same parameters, tokens and chosen experts, but other kernels and precision. The experts are taken
     * from this batch's routing because a nearly equal pair of logits may fall the other way in another precision.
     *
     * @param other computes; closed by the caller
     * @param precision types of parameters and activations
     * @param tokens how many, from the first on
     * @return everything it computed for them
     */
    public Outcome recompute(Kernels other, Precision precision, int tokens) {
        MoeConfig fixed = shape.config(shape.router(routing.expertIds()));
        ElementType type = precision.router();
        try (MoeLayer layer = MoeLayer.create(other, fixed, precision);
                MoeGradients sums = layer.newGradients(Trainable.all(), type);
                KernelMemory.Scope memory = other.memory().open()) {
            Parameters.copy(dropless.parameters(), layer.parameters());
            Matrix tokensIn = memory.allocate(type, tokens, config.hiddenSize());
            Matrix gradient = memory.allocate(type, tokens, config.hiddenSize());
            Matrix output = memory.allocate(type, tokens, config.hiddenSize());
            Matrix inputGradient = memory.allocate(type, tokens, config.hiddenSize());
            tokensIn.copyFrom(x.sliceRows(0, tokens));
            gradient.copyFrom(dY.sliceRows(0, tokens));
            SavedState saved = layer.forwardTraining(
                    tokensIn, output, ForwardOptions.evaluation(), MemoryPolicy.SAVE_ALL, Trainable.all());
            layer.backward(saved, gradient, inputGradient, sums, List.of());
            return new Outcome(
                    output.toDoubles(), inputGradient.toDoubles(), Outcome.router(sums), Outcome.experts(config, sums));
        }
    }

    @Override
    public void close() {
        padded.forEach(MoeLayer::close);
        gradients.close();
        dropless.close();
        scope.close();
    }
}
