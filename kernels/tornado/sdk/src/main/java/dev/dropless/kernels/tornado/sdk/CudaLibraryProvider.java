package dev.dropless.kernels.tornado.sdk;

import dev.dropless.kernels.cuda.KernelManifest;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import uk.ac.manchester.tornado.api.common.LibraryTaskDescriptor;
import uk.ac.manchester.tornado.runtime.common.TornadoXPUDevice;
import uk.ac.manchester.tornado.runtime.library.spi.LibraryContext;
import uk.ac.manchester.tornado.runtime.library.spi.LibraryInvocation;
import uk.ac.manchester.tornado.runtime.library.spi.TornadoLibraryProvider;
import uk.ac.manchester.tornado.runtime.library.spi.TornadoNativeStreamSupport;

/**
 * Runs the tasks of {@link CudaLibrary}: loads the images that {@code dropless-kernels-cuda} carries into TornadoVM's CUDA
 * context, and starts their kernels in its stream. Images are loaded in {@link #prepare}, so that a dispatch may be captured
 * in a CUDA graph.
 */
public final class CudaLibraryProvider implements TornadoLibraryProvider {

    private static final String PREFIX = "dropless_";

    private final KernelManifest manifest = KernelManifest.load();
    private final Supplier<CudaCalls> driver;

    /** Creates the provider; the driver is opened when a device of TornadoVM's CUDA back end asks for a context. */
    public CudaLibraryProvider() {
        this(CudaDriver::open);
    }

    CudaLibraryProvider(Supplier<CudaCalls> driver) {
        this.driver = driver;
    }

    /** What belongs to one stream: loaded images by family, functions by kernel. */
    private record Loaded(
            CudaCalls calls, long context, long stream, Map<String, Long> modules, Map<String, Long> functions)
            implements LibraryContext {}

    @Override
    public String libraryName() {
        return CudaLibrary.NAME;
    }

    @Override
    public boolean canHandle(TornadoXPUDevice device) {
        return device instanceof TornadoNativeStreamSupport;
    }

    @Override
    public LibraryContext createContext(TornadoXPUDevice device, long executionPlanId) {
        if (!(device instanceof TornadoNativeStreamSupport streams)) {
            throw new IllegalArgumentException(
                    "device: expected one of TornadoVM's CUDA back end, found " + device.getDeviceName());
        }
        return createContext(streams, executionPlanId);
    }

    /** As above, of what a device offers. */
    LibraryContext createContext(TornadoNativeStreamSupport streams, long executionPlanId) {
        return new Loaded(
                driver.get(),
                streams.getNativeContext(executionPlanId),
                streams.getNativeStream(executionPlanId),
                new ConcurrentHashMap<>(),
                new ConcurrentHashMap<>());
    }

    @Override
    public void prepare(LibraryTaskDescriptor descriptor, LibraryContext context) {
        function(descriptor.getFunctionName(), (Loaded) context);
    }

    /** The kernel's function, loaded with its family where it was not. */
    private long function(String kernel, Loaded loaded) {
        return loaded.functions().computeIfAbsent(kernel, name -> {
            KernelManifest.Launch launch = manifest.launch(PREFIX + name);
            long module = loaded.modules().computeIfAbsent(launch.family(), family -> {
                int architecture = loaded.calls().architecture(loaded.context());
                return loaded.calls().loadModule(loaded.context(), manifest.image(file(family, architecture)));
            });
            return loaded.calls().function(loaded.context(), module, PREFIX + name, launch.sharedBytes());
        });
    }

    /** The image of a family for a device of compute capability {@code architecture} / 10. */
    private static String file(String family, int architecture) {
        if (architecture < 80) {
            throw new IllegalArgumentException(
                    "device: expected compute capability 8.0 or newer, found %.1f".formatted(architecture / 10.0));
        }
        if (architecture >= 100) {
            return family + ".ptx";
        }
        return family + (architecture == 90 ? ".sm_90a.cubin" : ".sm_80.cubin");
    }

    @Override
    public void dispatch(String functionName, LibraryInvocation invocation) {
        if (!(invocation.getTuning() instanceof CudaLibrary.Grid grid)) {
            throw new IllegalArgumentException("tuning: expected a CudaLibrary.Grid, found " + invocation.getTuning());
        }
        KernelManifest.Launch launch = manifest.launch(PREFIX + functionName);
        if (invocation.getNumArgs() != launch.argumentWords()) {
            throw new IllegalArgumentException("words: expected %d for kernel %s, found %d"
                    .formatted(launch.argumentWords(), functionName, invocation.getNumArgs()));
        }
        long[] words = new long[launch.argumentWords()];
        for (int i = 0; i < words.length; i++) {
            words[i] = invocation.isReference(i)
                    ? invocation.getDevicePointer(i)
                    : ((Number) invocation.getArg(i)).longValue();
        }
        Loaded loaded = (Loaded) invocation.getContext();
        long function = function(functionName, loaded);
        int blocks = (int) Math.min(grid.blocks(), Integer.MAX_VALUE);
        loaded.calls()
                .launch(
                        loaded.context(),
                        function,
                        new CudaCalls.Launch(blocks, launch.threads(), launch.sharedBytes(), loaded.stream()),
                        words);
    }

    @Override
    public void destroyContext(LibraryContext context) {
        Loaded loaded = (Loaded) context;
        loaded.modules().values().forEach(module -> loaded.calls().unloadModule(loaded.context(), module));
        loaded.modules().clear();
        loaded.functions().clear();
    }
}
