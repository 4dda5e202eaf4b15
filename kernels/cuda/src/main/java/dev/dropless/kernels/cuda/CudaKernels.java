package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/** One device's context, its kernels, and a stream in which all of them run. */
final class CudaKernels implements Kernels {

    private final DeviceContext context;
    private final DeviceStream stream;
    private final KernelImages images;
    private final Launcher launcher;
    private final CudaMemory memory;
    private final CudaBlockSparseKernels blockSparse;
    private final CudaExpertKernels experts;
    private final CudaElementwise elementwise;
    private final CudaRoutingKernels routing;
    private final HostTasks tasks;
    private boolean closed;

    private CudaKernels(DeviceContext context, int threads) {
        this.context = context;
        this.stream = new DeviceStream(context);
        this.images = new KernelImages(context);
        this.launcher = new Launcher(context, stream, images);
        this.memory = new CudaMemory(context, stream, launcher);
        this.blockSparse = new CudaBlockSparseKernels(memory, launcher);
        this.experts = new CudaExpertKernels(memory, launcher);
        this.elementwise = new CudaElementwise(launcher);
        this.routing = new CudaRoutingKernels(context, memory, launcher);
        this.tasks = new HostTasks(threads);
    }

    /** Opens a device. Nothing stays open where that fails. */
    static CudaKernels open(CudaAvailability found, String backend, BackendOptions options) {
        found.require(backend);
        DeviceContext context = DeviceContext.open(found.probe(), found.library(), options.device());
        try {
            return new CudaKernels(context, options.threads());
        } catch (RuntimeException e) {
            try {
                context.handles().closeAll();
                context.close();
            } catch (CudaException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
    }

    @Override
    public String name() {
        return CudaBackend.NAME;
    }

    @Override
    public String description() {
        return "device %d: %s, kernels %s"
                .formatted(context.ordinal(), context.properties().describe(), images.architecture());
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
    public CudaElementwise elementwise() {
        return elementwise;
    }

    @Override
    public CudaRoutingKernels routing() {
        return routing;
    }

    @Override
    public CudaMemory memory() {
        return memory;
    }

    @Override
    public TaskRunner tasks() {
        return tasks;
    }

    /** The device. */
    DeviceContext context() {
        return context;
    }

    /** What starts kernels. */
    Launcher launcher() {
        return launcher;
    }

    /** Where all work is queued. */
    DeviceStream stream() {
        return stream;
    }

    /** Waits for the device, frees what is left with a warning, and gives the context back. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        tasks.close();
        stream.synchronize();
        blockSparse.close();
        images.close();
        stream.close();
        context.close();
    }
}
