package dev.dropless.kernels.tornado.sdk;

import static uk.ac.manchester.tornado.api.enums.DataTransferMode.EVERY_EXECUTION;
import static uk.ac.manchester.tornado.api.enums.DataTransferMode.FIRST_EXECUTION;

import dev.dropless.kernels.tornado.device.ElementLoops;
import dev.dropless.kernels.tornado.device.HalfLoops;
import dev.dropless.kernels.tornado.device.ProductCores;
import dev.dropless.kernels.tornado.device.ProductLoops;
import dev.dropless.kernels.tornado.device.ProductTiles;
import dev.dropless.kernels.tornado.device.RouterLoops;
import dev.dropless.kernels.tornado.device.RowLoops;
import dev.dropless.kernels.tornado.device.TopologyLoops;
import dev.dropless.kernels.tornado.device.UpTiles;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.util.ArrayList;
import java.util.List;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.ImmutableTaskGraph;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.WorkerGrid2D;

/**
 * One task graph for each kernel, all over the same arrays. The first puts the three long arrays on the device, the others
 * take them from there.
 */
final class KernelGraphs {

    /** The one task of every graph. */
    private static final String TASK = "run";

    private final DeviceArrays arrays;
    private final List<String> names = GraphKey.names();
    private final List<ImmutableTaskGraph> graphs = new ArrayList<>();
    private final List<WorkerGrid> grids = new ArrayList<>();
    private final GridScheduler scheduler = new GridScheduler();

    /**
     * Makes all graphs.
     *
     * @param tensorCores whether to make those that use them: elsewhere TornadoVM refuses them when they are built
     */
    KernelGraphs(DeviceArrays arrays, boolean tensorCores) {
        this.arrays = arrays;
        add(graph().transferToDevice(FIRST_EXECUTION, arrays.floats(), arrays.ints(), arrays.halves())
                .transferToDevice(EVERY_EXECUTION, arrays.words())
                .task(TASK, ElementLoops::settle, arrays.words(), arrays.ints(), arrays.floats(), arrays.halves())
                .persistOnDevice(arrays.floats(), arrays.ints(), arrays.halves()));
        add(resident(arrays.smallFloats())
                .task(TASK, ElementLoops::scatter, arrays.words(), arrays.smallFloats(), arrays.floats()));
        add(resident(arrays.largeFloats())
                .task(TASK, ElementLoops::scatter, arrays.words(), arrays.largeFloats(), arrays.floats()));
        add(resident(arrays.smallInts())
                .task(TASK, ElementLoops::scatterInts, arrays.words(), arrays.smallInts(), arrays.ints()));
        add(resident(arrays.largeInts())
                .task(TASK, ElementLoops::scatterInts, arrays.words(), arrays.largeInts(), arrays.ints()));
        add(resident(arrays.smallHalves())
                .task(TASK, HalfLoops::scatter, arrays.words(), arrays.smallHalves(), arrays.halves()));
        add(resident(arrays.largeHalves())
                .task(TASK, HalfLoops::scatter, arrays.words(), arrays.largeHalves(), arrays.halves()));
        for (Kernel kernel : Kernel.values()) {
            if (tensorCores || !kernel.usesTensorCores()) {
                add(graph(kernel));
            }
        }
    }

    private TaskGraph graph() {
        return new TaskGraph(names.get(graphs.size()));
    }

    private TaskGraph resident(Object... transferred) {
        return graph().consumeFromDevice(arrays.floats(), arrays.ints(), arrays.halves())
                .transferToDevice(EVERY_EXECUTION, arrays.words())
                .transferToDevice(EVERY_EXECUTION, transferred);
    }

    private TaskGraph graph(Kernel kernel) {
        var w = arrays.words();
        var c = arrays.constants();
        var i = arrays.ints();
        var f = arrays.floats();
        var h = arrays.halves();
        TaskGraph graph = resident(c);
        KernelContext context = new KernelContext();
        return switch (kernel) {
            case PRODUCT -> graph.task(TASK, ProductLoops::product, w, c, i, f);
            case PRODUCT_TILES -> graph.task(TASK, ProductTiles::product, context, w, c, i, f);
            case PRODUCT_BF16 -> graph.task(TASK, ProductCores::bfloat16, context, w, i, h, f);
            case PRODUCT_F16 -> graph.task(TASK, ProductCores::binary16, context, w, i, h, f);
            case PRODUCT_STORE -> graph.task(TASK, ProductCores::store, w, c, i, f);
            case OUTER -> graph.task(TASK, ProductLoops::outer, w, c, i, f);
            case OUTER_TILES -> graph.task(TASK, ProductTiles::outer, context, w, c, i, f);
            case UP -> graph.task(TASK, ProductLoops::up, w, c, i, f);
            case UP_TILES -> graph.task(TASK, UpTiles::up, context, w, c, i, f);
            case ACTIVATE -> graph.task(TASK, ElementLoops::activate, w, c, i, f);
            case ACTIVATION_GRADIENT -> graph.task(TASK, ElementLoops::activationGradient, w, c, i, f);
            case COMBINE -> graph.task(TASK, RowLoops::combine, w, c, i, f);
            case SLOT_GRADIENT -> graph.task(TASK, RowLoops::slotGradient, w, c, i, f);
            case BIAS_GRADIENT -> graph.task(TASK, RowLoops::biasGradient, w, c, i, f);
            case GATHER_SLOTS -> graph.task(TASK, ElementLoops::gatherSlots, w, c, i, f);
            case MULTIPLY -> graph.task(TASK, ElementLoops::multiply, w, c, i, f);
            case SIGMOID_GATE -> graph.task(TASK, ElementLoops::sigmoidGate, w, c, i, f);
            case SIGMOID_GATE_GRADIENT -> graph.task(TASK, ElementLoops::sigmoidGateGradient, w, c, i, f);
            case WIDEN -> graph.task(TASK, HalfLoops::widen, w, c, h, f);
            case NARROW -> graph.task(TASK, HalfLoops::narrow, w, c, h, f);
            case COPY -> graph.task(TASK, ElementLoops::copy, w, c, i, f);
            case FILL -> graph.task(TASK, ElementLoops::fill, w, c, i, f);
            case COPY_BLOCKS -> graph.task(TASK, ElementLoops::copyBlocks, w, c, i, f);
            case COUNT -> graph.task(TASK, TopologyLoops::count, w, c, i, f);
            case SCAN_CHUNKS -> graph.task(TASK, TopologyLoops::scanChunks, w, c, i, f);
            case SCAN_EXPERTS -> graph.task(TASK, TopologyLoops::scanExperts, w, c, i, f);
            case PLACE -> graph.task(TASK, TopologyLoops::place, w, c, i, f);
            case ROUTE_GROUPS -> graph.task(TASK, RouterLoops::limitGroups, w, c, i, f);
            case ROUTE -> graph.task(TASK, RouterLoops::route, w, c, i, f);
            case ROUTE_GRADIENT -> graph.task(TASK, RouterLoops::gradient, w, c, i, f);
            case IDENTITY_ADD -> graph.task(TASK, RouterLoops::addIdentity, w, c, i, f);
            case IDENTITY_GRADIENT -> graph.task(TASK, RouterLoops::identityGradient, w, c, i, f);
        };
    }

    private void add(TaskGraph graph) {
        WorkerGrid grid = new WorkerGrid2D(1, 1);
        scheduler.addWorkerGrid(graph.getTaskGraphName() + "." + TASK, grid);
        grids.add(grid);
        graphs.add(graph.snapshot());
    }

    /** All graphs, by number. */
    ImmutableTaskGraph[] all() {
        return graphs.toArray(ImmutableTaskGraph[]::new);
    }

    /** The grids of all graphs. */
    GridScheduler scheduler() {
        return scheduler;
    }

    /** The grid of one graph; its sizes may be changed before each execution. */
    WorkerGrid grid(int number) {
        return grids.get(number);
    }
}
