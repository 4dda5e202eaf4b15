package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.Precision;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.DropReport;
import dev.dropless.moe.padded.PaddedExecution;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The layer of this library: dropless, or padded to a capacity on the same kernels. */
final class MoeLayerArm implements Arm {

    private static final Set<Trainable> TRAINED =
            EnumSet.of(Trainable.EXPERTS_UP, Trainable.EXPERTS_DOWN, Trainable.INPUT);

    private final LayerTask task;
    private final @Nullable CapacityPolicy capacity;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final MoeLayer parameters;
    private final MoeLayer layer;
    private final KernelMemory.Scope scope;
    private final Matrix x;
    private final Matrix y;
    private final Matrix dY;
    private final Matrix dX;
    private final Matrix hostY;
    private final Matrix hostDX;
    private final @Nullable MoeGradients gradients;

    /**
     * Loads the weights.
     *
     * @param kernels computes; closed with this
     * @param task what to compute
     * @param capacity rows of each expert, or null for dropless
     */
    MoeLayerArm(Kernels kernels, LayerTask task, @Nullable CapacityPolicy capacity) {
        this.task = task;
        this.capacity = capacity;
        this.kernels = kernels;
        MoeShape shape = task.layer();
        MoeConfig config = MoeConfig.builder(
                        shape.hiddenSize(), shape.ffnHiddenSize(), shape.numExperts(), new FixedRouting(task))
                .gated(shape.gated())
                .activation(shape.activation())
                .build();
        parameters = MoeLayer.create(kernels, config, precision(task));
        load();
        layer = capacity == null ? parameters : PaddedExecution.layerLike(kernels, parameters, capacity);
        scope = kernels.memory().open();
        x = resident(task.newInput(arena));
        hostY = Matrix.allocate(arena, ElementType.F32, task.tokens(), shape.hiddenSize());
        y = resident(hostY);
        int gradientRows = task.backward() ? task.tokens() : 0;
        dY = task.backward() ? resident(task.newOutputGradient(arena)) : y.sliceRows(0, 0);
        hostDX = Matrix.allocate(arena, ElementType.F32, gradientRows, shape.hiddenSize());
        dX = resident(hostDX);
        gradients = task.backward() ? layer.newGradients(TRAINED, ElementType.F32) : null;
    }

    private static Precision precision(LayerTask task) {
        return task.int8() ? Precision.INT8 : task.type() == ElementType.BF16 ? Precision.BF16 : Precision.F32;
    }

    private void load() {
        PackedWeights.load(
                parameters.parameters().experts(), task, List.of(WeightPart.GATE, WeightPart.UP, WeightPart.DOWN));
        Matrix router = parameters.parameters().routerWeight();
        Matrix values = Matrix.allocate(arena, ElementType.F32, router.rows(), router.columns());
        kernels.memory().copy(Values.fill(7, 1 / Math.sqrt(task.layer().hiddenSize()), values), router);
    }

    /** A matrix of the host where the kernels can use it: itself, or a copy. */
    private Matrix resident(Matrix host) {
        if (kernels.memory().space().isHost()) {
            return host;
        }
        Matrix copy = scope.allocate(host.type(), host.rows(), host.columns());
        kernels.memory().copy(host, copy);
        return copy;
    }

    private void copy(Matrix source, Matrix target) {
        if (source != target) {
            kernels.memory().copy(source, target);
        }
    }

    /** As a program calls a layer whose neighbours lie where it does: on a device results stay there, and one row on the host says that they are finished. */
    @Override
    public Object run() {
        if (gradients == null) {
            layer.infer(x, y, ForwardOptions.evaluation());
        } else {
            layer.backward(
                    layer.forwardTraining(
                            x, y, ForwardOptions.evaluation(), MemoryPolicy.RECOMPUTE_ACTIVATION, TRAINED),
                    dY,
                    dX,
                    gradients,
                    List.of());
        }
        if (y != hostY) {
            copy(y.sliceRows(0, 1), hostY.sliceRows(0, 1));
        }
        return hostY;
    }

    /** Gradients accumulate, so they are those of a run of their own; the outputs are poisoned before it. */
    @Override
    public double check() {
        hostY.fill(Double.NaN);
        hostDX.fill(Double.NaN);
        copy(hostY, y);
        copy(hostDX, dX);
        if (gradients != null) {
            gradients.zero();
        }
        run();
        copy(y, hostY);
        copy(dX, hostDX);
        return LayerCheck.check(
                task,
                new LayerCheck.Results(
                        computed(),
                        hostY,
                        gradients == null ? null : hostDX,
                        gradients == null ? null : gradients.experts()));
    }

    /** The slots within the capacity: each expert's first ones. */
    private Topology computed() {
        Topology routed = task.topology();
        if (capacity == null) {
            return routed;
        }
        int[] ids = task.expertIds();
        for (int slot : DropReport.of(routed, capacity, 1).droppedSlots()) {
            ids[slot] = Topology.UNASSIGNED;
        }
        return Topology.of(ids, routed.topK(), routed.numExperts());
    }

    @Override
    public String description() {
        String tier = "dropless " + kernels.description();
        if (capacity == null) {
            return tier;
        }
        DropReport report = DropReport.of(task.topology(), capacity, 1);
        return String.format(
                Locale.ROOT,
                "%s, padded to %d rows per expert, %.1f %% of the slots dropped",
                tier,
                report.capacity(),
                100 * report.droppedFraction());
    }

    @Override
    public double computedFlops() {
        return capacity == null
                ? task.usefulFlops()
                : task.flopsOfRows(DropReport.of(task.topology(), capacity, 1).paddedRows());
    }

    @Override
    public void close() {
        if (gradients != null) {
            gradients.close();
        }
        if (layer != parameters) {
            layer.close();
        }
        parameters.close();
        scope.close();
        kernels.close();
        arena.close();
    }
}
