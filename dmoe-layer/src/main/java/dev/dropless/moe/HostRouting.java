package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.HostElementwise;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreRouter;
import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologyBuilder;
import java.lang.foreign.Arena;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A decision made by a {@link dev.dropless.moe.router.Router}, in double precision, on the host. */
final class HostRouting implements BatchRouting {

    private final Kernels kernels;
    private final MoeConfig config;
    private final Routing routing;

    HostRouting(Kernels kernels, MoeConfig config, Routing routing) {
        this.kernels = kernels;
        this.config = config;
        this.routing = routing;
    }

    @Override
    public int tokens() {
        return routing.tokens();
    }

    @Override
    public boolean isOnHost() {
        return true;
    }

    @Override
    public Routing onHost() {
        return routing;
    }

    @Override
    public Matrix slotWeights(double factor, KernelMemory.Scope saved) {
        double[] slots = routing.weights();
        if (factor != 1) {
            slots = slots.clone();
            for (int i = 0; i < slots.length; i++) {
                slots[i] *= factor;
            }
        }
        return toDevice(slots, config.topK(), saved);
    }

    private Matrix toDevice(double[] values, int columns, KernelMemory.Scope scope) {
        Matrix matrix = scope.allocate(kernels.accumulation(), routing.tokens(), columns);
        kernels.memory().copy(Matrix.of(values, routing.tokens(), columns), matrix);
        return matrix;
    }

    @Override
    public ExpertBatch open(ExpertExecution execution, ExpertExecution.Keep keep) {
        return execution.open(topology(), keep);
    }

    /** Identity experts need no product, so their slots have no row. */
    private Topology topology() {
        int[] ids = routing.expertIds();
        if (config.identityExperts() > 0) {
            ids = ids.clone();
            for (int slot = 0; slot < ids.length; slot++) {
                ids[slot] = isIdentity(slot) ? Topology.UNASSIGNED : ids[slot];
            }
        }
        return new TopologyBuilder(config.numExperts(), config.topK(), kernels.tasks()).build(ids);
    }

    private boolean isIdentity(int slot) {
        return routing.expertIds()[slot] >= config.numExperts();
    }

    @Override
    public void addIdentity(Matrix x, Matrix y) {
        Matrix sum = onHost(y);
        new HostElementwise(kernels.tasks()).addScaledRows(identityWeights(), onHost(x), sum);
        if (sum != y) {
            kernels.memory().copy(sum, y);
        }
    }

    /** A matrix that this class can read: itself, or a copy where it lies on a device. */
    private Matrix onHost(Matrix matrix) {
        if (matrix.space().isHost()) {
            return matrix;
        }
        Matrix copy = Matrix.allocate(Arena.ofAuto(), matrix.type(), matrix.rows(), matrix.columns());
        kernels.memory().copy(matrix, copy);
        return copy;
    }

    /** The factor of each token's own input, [T]: the sum over its identity slots. */
    private double[] identityWeights() {
        double[] sums = new double[routing.tokens()];
        int topK = config.topK();
        for (int slot = 0; slot < sums.length * topK; slot++) {
            if (isIdentity(slot)) {
                sums[slot / topK] += config.routedFactor() * routing.weights()[slot];
            }
        }
        return sums;
    }

    @Override
    public LogitGradients backward(
            Matrix dSlots, Matrix in, Matrix dOut, List<LossValue> losses, KernelMemory.Scope scratch) {
        double[] dWeights = weightGradient(dSlots, in, dOut);
        double[] dLogits = new double[routing.logits().length];
        double[] dNoise = new double[config.noisyGating() ? dLogits.length : 0];
        for (LossValue loss : losses) {
            add(loss.dLogits(), dLogits);
            add(loss.dWeights(), dWeights);
            add(loss.dNoiseLogits(), dNoise);
        }
        config.router().backward(routing, dWeights, dLogits);
        if (config.noisyGating() && config.router() instanceof ScoreRouter router) {
            router.backwardNoise(routing, dWeights, dNoise);
        }
        int choices = routing.numExperts();
        Matrix noise = config.noisyGating() ? toDevice(dNoise, choices, scratch) : null;
        return new LogitGradients(toDevice(dLogits, choices, scratch), noise);
    }

    /** From the gradient of what the kernels multiplied with to the gradient of the router's weights, identity slots included. */
    private double[] weightGradient(Matrix dSlots, Matrix in, Matrix dOut) {
        int topK = config.topK();
        double factor = config.routedFactor();
        double[] gradient = new double[routing.tokens() * topK];
        kernels.memory().copy(dSlots, Matrix.of(gradient, routing.tokens(), topK));
        boolean onOutput = config.weightPlacement() == WeightPlacement.OUTPUT;
        boolean identities = config.identityExperts() > 0;
        Matrix x = identities ? onHost(in) : in;
        Matrix dY = identities ? onHost(dOut) : dOut;
        for (int slot = 0; slot < gradient.length; slot++) {
            if (isIdentity(slot)) {
                gradient[slot] = factor * HostElementwise.dot(x, dY, slot / topK);
            } else if (onOutput) {
                gradient[slot] *= factor;
            }
        }
        return gradient;
    }

    /** Adds what a loss has, if it has it. */
    static void add(double @Nullable [] from, double[] to) {
        for (int i = 0; from != null && i < to.length; i++) {
            to[i] += from[i];
        }
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
