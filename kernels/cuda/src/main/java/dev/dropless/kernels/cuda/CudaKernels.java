package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.LaunchTuning;
import dev.dropless.topology.TaskRunner;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One device's context, its kernels, and a stream in which all of them run. */
final class CudaKernels implements Kernels {

    private final DeviceContext context;
    private final DeviceStream stream;
    private final KernelImages images;
    private final Launcher launcher;
    private final CudaMemory memory;
    private final CudaEngine engine;
    private final @Nullable HopperLaunches hopper;
    private final CudaBlockSparseKernels blockSparse;
    private final CudaExpertKernels experts;
    private final CudaElementwise elementwise;
    private final CudaRoutingKernels routing;
    private final HostTasks tasks;
    private boolean closed;

    private CudaKernels(DeviceContext context, int threads, CudaSettings settings) {
        this.context = context;
        this.stream = new DeviceStream(context);
        this.images = new KernelImages(context);
        this.launcher = new Launcher(context, stream, images, settings.overlaps());
        this.memory = new CudaMemory(context, stream, launcher);
        this.engine = CudaEngine.choose(
                settings.engine(), images, context.properties().describe());
        PortableBlocks blocks = new PortableBlocks(launcher);
        PortableExperts products = new PortableExperts(launcher);
        this.hopper = engine == CudaEngine.HOPPER
                ? new HopperLaunches(
                        launcher, new TensorMaps(memory, stream, launcher, TensorMaps.SETS), settings.tuning())
                : null;
        this.blockSparse = new CudaBlockSparseKernels(
                memory, launcher, hopper == null ? blocks : new HopperBlocks(hopper, blocks));
        this.experts = new CudaExpertKernels(
                memory, launcher, hopper == null ? products : new HopperExperts(hopper, products));
        this.elementwise = new CudaElementwise(launcher);
        this.routing = new CudaRoutingKernels(context, memory, launcher);
        this.tasks = new HostTasks(threads);
    }

    /** Opens a device as the system properties say. */
    static CudaKernels open(CudaAvailability found, String backend, BackendOptions options) {
        return open(found, backend, options, CudaSettings.ofProperties());
    }

    /** Opens a device. Nothing stays open where that fails. */
    static CudaKernels open(CudaAvailability found, String backend, BackendOptions options, CudaSettings settings) {
        found.require(backend);
        DeviceContext context = DeviceContext.open(found.probe(), found.library(), options.device());
        try {
            return new CudaKernels(context, options.threads(), settings);
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
        return "device %d: %s, kernels %s, engine %s"
                .formatted(
                        context.ordinal(), context.properties().describe(), images.architecture(), engine.lowerCase());
    }

    /** Which engine computed how many products and, for Hopper, whether tensor maps are what the driver would make of them. */
    @Override
    public Map<String, String> diagnostics() {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("engine", engine.lowerCase());
        if (hopper != null) {
            facts.put("products taken", Long.toString(hopper.taken()));
            facts.put("products left to the portable engine", Long.toString(hopper.refused()));
            facts.put("products of experts among them", Long.toString(hopper.refusedExperts()));
            facts.put("kernels started early", Long.toString(launcher.early()));
            facts.put("tensor maps", hopper.maps().compareWithDriver(context.extras()));
        }
        return facts;
    }

    @Override
    public ElementType accumulation() {
        return ElementType.F32;
    }

    /**
     * The experts' own type where weights and activations are of one 16-bit type: rows in F32 would be twice the memory and traffic, and the Hopper engine writes rows of its operands'
     * type only. Both engines the same, so that a layer's results differ between them by the order of sums alone.
     */
    @Override
    public ElementType rows(ElementType weights, ElementType activations) {
        return weights == activations && HopperLaunches.takes(weights) ? weights : accumulation();
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
    public CudaGraph record(Runnable work) {
        return CudaGraph.record(this, work);
    }

    @Override
    public @Nullable LaunchTuning tuning() {
        return hopper == null ? null : new HopperLaunchTuning(hopper);
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

    /** Which engine computes products. */
    CudaEngine engine() {
        return engine;
    }

    /** What the Hopper engine launched; null where the portable one computes all products. */
    @Nullable
    HopperLaunches hopper() {
        return hopper;
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
        if (hopper != null) {
            hopper.close();
        }
        images.close();
        stream.close();
        context.close();
    }
}
