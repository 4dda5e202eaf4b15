package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.Precision;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.DropReport;
import dev.dropless.moe.padded.PaddedExecution;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.Routing;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * One layer and one batch, computed dropless and padded on the same parameters. The padded baseline needs host memory: beside a device it is computed by back end
 * "{@value #HOST}", and says so in its name.
 */
public final class Workbench implements AutoCloseable {

    private static final String HOST = "cpu";

    private final Kernels kernels;
    private final Kernels hostKernels;
    private final LayerShape shape;
    private final MoeConfig config;
    private final MoeLayer dropless;
    private final MoeLayer hostLayer;
    private final List<MoeLayer> padded = new ArrayList<>();
    private final Matrix x;
    private final Matrix dY;
    private final Batch batch;
    private final Batch hostBatch;
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
        this.x = Matrix.of(x, tokens, config.hiddenSize());
        this.dY = Matrix.of(dY, tokens, config.hiddenSize());
        boolean host = kernels.memory().space().isHost();
        this.hostKernels = host ? kernels : Backends.byName(HOST).open(BackendOptions.defaults());
        this.hostLayer = MoeLayer.create(hostKernels, config, Precision.F32);
        shape.initializer().initialize(hostLayer.parameters(), seed);
        this.hostBatch = new Batch(hostKernels, hostLayer, ElementType.F32, tokens, this.x, this.dY);
        if (host) {
            this.dropless = hostLayer;
            this.batch = hostBatch;
        } else {
            this.dropless = MoeLayer.create(kernels, config, Precision.F32);
            Parameters.copy(hostKernels, hostLayer.parameters(), kernels, dropless.parameters());
            this.batch = new Batch(kernels, dropless, ElementType.F32, tokens, this.x, this.dY);
        }
        this.routing = batch.route(dropless);
        this.topology = Topology.of(routing.expertIds(), routing.topK(), routing.numExperts());
    }

    /**
     * Returns the kernels of what can only be computed in host memory.
     *
     * @return those given, unless their memory is a device's; closed by this
     */
    public Kernels hostKernels() {
        return hostKernels;
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
        MoeLayer layer = PaddedExecution.layerLike(hostKernels, hostLayer, capacity);
        padded.add(layer);
        String where = hostKernels == kernels ? "" : " (on %s)".formatted(HOST);
        return new Contender(name + where, layer, DropReport.of(topology, capacity, 1));
    }

    /**
     * Computes forward and backward.
     *
     * @param layer a contender's layer
     * @return everything it computed
     */
    public Outcome compute(MoeLayer layer) {
        return batchOf(layer).compute(layer);
    }

    private Batch batchOf(MoeLayer layer) {
        return padded.contains(layer) ? hostBatch : batch;
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
                Batch operands = batchOf(layer);
                long start = System.nanoTime();
                SavedState saved = operands.forward(layer);
                long middle = System.nanoTime();
                operands.backward(layer, saved);
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
        try (MoeLayer layer = MoeLayer.create(other, fixed, precision);
                Batch part = new Batch(other, layer, precision.router(), tokens, x, dY)) {
            Parameters.copy(kernels, dropless.parameters(), other, layer.parameters());
            return part.compute(layer);
        }
    }

    @Override
    public void close() {
        padded.forEach(MoeLayer::close);
        batch.close();
        dropless.close();
        if (hostKernels != kernels) {
            hostBatch.close();
            hostLayer.close();
            hostKernels.close();
        }
    }
}
