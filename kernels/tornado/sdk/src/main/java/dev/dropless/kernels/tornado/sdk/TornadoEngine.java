package dev.dropless.kernels.tornado.sdk;

import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import uk.ac.manchester.tornado.api.DataRange;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.TornadoDeviceType;
import uk.ac.manchester.tornado.api.enums.TornadoVMBackendType;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * One execution plan with a graph for each kernel. The three long arrays stay on the device from one execution to the next;
 * an execution copies its arguments there and nothing else. When an array has to grow, its content passes through the
 * host into a longer one, and a new plan takes the place of the old.
 */
final class TornadoEngine implements Engine {

    /** Plain OpenCL: TornadoVM's default allows the compiler to assume that there are no NaNs and infinities. */
    private static final String OPENCL_FLAGS = "-w";

    private static final int FIRST_FLOATS = 1 << 20;
    private static final int FIRST_INTS = 1 << 16;
    private static final int FIRST_HALVES = 1 << 20;

    private final TornadoDevice device;
    private DeviceArrays arrays;
    private KernelGraphs graphs;
    private TornadoExecutionPlan plan;
    private TornadoExecutionResult resident;
    private boolean closed;

    TornadoEngine(TornadoDevice device) {
        this.device = device;
        start(DeviceArrays.allocate(FIRST_FLOATS, FIRST_INTS, FIRST_HALVES));
    }

    private void start(DeviceArrays newArrays) {
        arrays = newArrays;
        graphs = new KernelGraphs(arrays, hasTensorCores());
        plan = new TornadoExecutionPlan(graphs.all());
        plan.withDevice(device)
                .withGridScheduler(graphs.scheduler())
                .withCompilerFlags(TornadoVMBackendType.OPENCL, OPENCL_FLAGS);
        arrays.setArguments(new int[] {1}, new float[0]);
        resident = execute(GraphKey.SETTLE.ordinal(), 1, 1, null);
    }

    private TornadoExecutionResult execute(int graph, long columns, long rows, long @Nullable [] local) {
        WorkerGrid grid = graphs.grid(graph);
        grid.setGlobalWork(columns, rows, 1);
        if (local == null) {
            grid.setLocalWorkToNull();
        } else {
            grid.setLocalWork(local[0], local[1], 1);
        }
        return plan.withGraph(graph).withGridScheduler(graphs.scheduler()).execute();
    }

    @Override
    public String describe() {
        return DeviceChoice.describe(device);
    }

    /** The host's side of the arrays. */
    DeviceArrays arrays() {
        return arrays;
    }

    @Override
    public boolean prefersTiles() {
        return device.getDeviceType() == TornadoDeviceType.GPU;
    }

    @Override
    public boolean hasDoubles() {
        return device.getDeviceContext().isFP64Supported();
    }

    @Override
    public boolean hasTensorCores() {
        return device.getTornadoVMBackend() == TornadoVMBackendType.CUDA;
    }

    @Override
    public void reserve(int floats, int ints, int halves) {
        if (floats <= arrays.floats().getSize()
                && ints <= arrays.ints().getSize()
                && halves <= arrays.halves().getSize()) {
            return;
        }
        download(arrays.floats(), 0, arrays.floats().getSize());
        download(arrays.ints(), 0, arrays.ints().getSize());
        download(arrays.halves(), 0, arrays.halves().getSize());
        closePlan();
        start(arrays.grown(floats, ints, halves));
    }

    @Override
    public int stagingLength() {
        return DeviceArrays.LARGE;
    }

    @Override
    public MemorySegment floatStaging(int count) {
        return DeviceArrays.elements(isSmall(count) ? arrays.smallFloats() : arrays.largeFloats());
    }

    @Override
    public void scatter(int count, int start, int columns, int base, int rowStride) {
        arrays.setArguments(new int[] {count, start, columns, base, rowStride}, new float[0]);
        GraphKey graph = isSmall(count) ? GraphKey.SMALL_FLOATS : GraphKey.LARGE_FLOATS;
        execute(graph.ordinal(), count, 1, null);
    }

    @Override
    public MemorySegment intStaging(int count) {
        return DeviceArrays.elements(isSmall(count) ? arrays.smallInts() : arrays.largeInts());
    }

    @Override
    public void scatterInts(int count, int base) {
        arrays.setArguments(new int[] {count, base}, new float[0]);
        GraphKey graph = isSmall(count) ? GraphKey.SMALL_INTS : GraphKey.LARGE_INTS;
        execute(graph.ordinal(), count, 1, null);
    }

    @Override
    public MemorySegment halfStaging(int count) {
        return DeviceArrays.elements(isSmall(count) ? arrays.smallHalves() : arrays.largeHalves());
    }

    @Override
    public void scatterHalves(int count, int start, int columns, int base, int rowStride) {
        arrays.setArguments(new int[] {count, start, columns, base, rowStride}, new float[0]);
        GraphKey graph = isSmall(count) ? GraphKey.SMALL_HALVES : GraphKey.LARGE_HALVES;
        execute(graph.ordinal(), count, 1, null);
    }

    private static boolean isSmall(int count) {
        return count <= DeviceArrays.SMALL;
    }

    @Override
    public MemorySegment read(int first, int count) {
        download(arrays.floats(), first, count);
        return DeviceArrays.elements(arrays.floats()).asSlice((long) first * Float.BYTES, (long) count * Float.BYTES);
    }

    @Override
    public MemorySegment readInts(int first, int count) {
        download(arrays.ints(), first, count);
        return DeviceArrays.elements(arrays.ints()).asSlice((long) first * Integer.BYTES, (long) count * Integer.BYTES);
    }

    @Override
    public MemorySegment readHalves(int first, int count) {
        download(arrays.halves(), first, count);
        return DeviceArrays.elements(arrays.halves()).asSlice((long) first * Short.BYTES, (long) count * Short.BYTES);
    }

    /** Copies a part of an array to the host's copy; the graph that put it on the device knows where it is. */
    private void download(TornadoNativeArray array, int first, int count) {
        if (count > 0) {
            plan.withGraph(GraphKey.SETTLE.ordinal());
            resident.transferToHost(new DataRange(array).withOffset(first).withSize(count));
        }
    }

    @Override
    public void launch(Kernel kernel, int[] words, float[] constants, int columns, int rows) {
        arrays.setArguments(words, constants);
        if (kernel.usesTensorCores()) {
            if (!hasTensorCores()) {
                throw new IllegalArgumentException(
                        "kernel: expected one without tensor cores on %s, found %s".formatted(describe(), kernel));
            }
            long[] local = {2 * Kernel.WARP, 1};
            execute(GraphKey.of(kernel), columns * local[0], rows, local);
        } else if (kernel.isTiled()) {
            long[] local = {Kernel.THREADS, Kernel.THREADS};
            execute(GraphKey.of(kernel), (long) columns * Kernel.THREADS, (long) rows * Kernel.THREADS, local);
        } else {
            execute(GraphKey.of(kernel), columns, rows, null);
        }
    }

    private void closePlan() {
        try {
            plan.withAllGraphs();
            plan.close();
        } catch (TornadoExecutionPlanException e) {
            throw new IllegalStateException("TornadoVM could not free the memory of " + describe(), e);
        }
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            closePlan();
        }
    }
}
