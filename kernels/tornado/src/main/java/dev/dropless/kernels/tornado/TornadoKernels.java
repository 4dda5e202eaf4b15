package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/** One device and the kernels over it. */
final class TornadoKernels implements Kernels {

    private static final System.Logger LOGGER = System.getLogger(TornadoKernels.class.getName());

    private final Device device;
    private final TornadoMemory memory;
    private final TornadoElementwise elementwise;
    private final TornadoBlockSparseKernels blockSparse;
    private final TornadoExpertKernels experts;
    private final TornadoRoutingKernels routing;
    private boolean closed;

    TornadoKernels(Device device, int number) {
        this.device = device;
        this.memory = new TornadoMemory(device, number);
        this.elementwise = new TornadoElementwise(device, memory);
        this.blockSparse = new TornadoBlockSparseKernels(device, memory, elementwise);
        this.experts = new TornadoExpertKernels(device, memory, elementwise);
        this.routing = new TornadoRoutingKernels(device, memory);
    }

    @Override
    public String name() {
        return TornadoBackend.NAME;
    }

    @Override
    public String description() {
        return "%s, %s"
                .formatted(
                        device.describe(), device.isTiled() ? "tiles in local memory" : "one thread for each element");
    }

    @Override
    public ElementType accumulation() {
        return ElementType.F32;
    }

    @Override
    public BlockSparseKernels blockSparse() {
        return blockSparse;
    }

    @Override
    public ExpertKernels experts() {
        return experts;
    }

    @Override
    public ElementwiseKernels elementwise() {
        return elementwise;
    }

    @Override
    public TornadoRoutingKernels routing() {
        return routing;
    }

    @Override
    public TornadoMemory memory() {
        return memory;
    }

    /** The calling thread: this back end keeps no threads of its own. */
    @Override
    public TaskRunner tasks() {
        return TaskRunner.sequential();
    }

    /** The device. */
    Device device() {
        return device;
    }

    /** Gives the device back; warns of matrices, weights and plans that were not closed. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        int left = device.allocations();
        if (left > 0) {
            LOGGER.log(System.Logger.Level.WARNING, "{0} allocations of back end tornado were not closed", left);
        }
        device.close();
    }
}
