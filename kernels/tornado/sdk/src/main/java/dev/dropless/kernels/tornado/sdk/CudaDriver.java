package dev.dropless.kernels.tornado.sdk;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/** The driver's library, which TornadoVM has loaded already, called through {@code java.lang.foreign}. */
final class CudaDriver implements CudaCalls {

    private static final String LIBRARY = "libcuda.so.1";

    /** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES. */
    private static final int MAX_SHARED = 8;

    /** Dynamic shared memory that needs no permission. */
    private static final int ORDINARY_SHARED_BYTES = 48 << 10;

    /** CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR. */
    private static final int MAJOR = 75;

    private static final int MINOR = 76;

    private final MethodHandle setContext;
    private final MethodHandle getDevice;
    private final MethodHandle getAttribute;
    private final MethodHandle load;
    private final MethodHandle getFunction;
    private final MethodHandle setFunctionAttribute;
    private final MethodHandle unload;
    private final MethodHandle launchKernel;

    private CudaDriver(SymbolLookup lookup) {
        setContext = find(lookup, "cuCtxSetCurrent", JAVA_LONG);
        getDevice = find(lookup, "cuCtxGetDevice", ADDRESS);
        getAttribute = find(lookup, "cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT);
        load = find(lookup, "cuModuleLoadData", ADDRESS, ADDRESS);
        getFunction = find(lookup, "cuModuleGetFunction", ADDRESS, JAVA_LONG, ADDRESS);
        setFunctionAttribute = find(lookup, "cuFuncSetAttribute", JAVA_LONG, JAVA_INT, JAVA_INT);
        unload = find(lookup, "cuModuleUnload", JAVA_LONG);
        launchKernel = find(
                lookup,
                "cuLaunchKernel",
                JAVA_LONG,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_LONG,
                ADDRESS,
                ADDRESS);
    }

    /**
     * Opens the library.
     *
     * @throws IllegalStateException if it is not there or lacks a function
     */
    static CudaCalls open() {
        try {
            return new CudaDriver(SymbolLookup.libraryLookup(LIBRARY, Arena.global()));
        } catch (IllegalArgumentException e) {
            throw new IllegalStateException("the CUDA driver's library %s cannot be opened".formatted(LIBRARY), e);
        }
    }

    private static MethodHandle find(SymbolLookup lookup, String function, MemoryLayout... parameters) {
        MemorySegment address =
                lookup.find(function).orElseThrow(() -> new IllegalStateException("the CUDA driver lacks " + function));
        return Linker.nativeLinker().downcallHandle(address, FunctionDescriptor.of(JAVA_INT, parameters));
    }

    /** Calls a function that returns a CUresult. */
    private static void call(String attempted, MethodHandle function, Object... arguments) {
        int result;
        try {
            result = (int) function.invokeWithArguments(arguments);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) { // a downcall declares Throwable and throws none that is checked
            throw new IllegalStateException(e);
        }
        if (result != 0) {
            throw new IllegalStateException("%s failed with CUresult %d".formatted(attempted, result));
        }
    }

    private void enter(long context) {
        call("entering TornadoVM's CUDA context", setContext, context);
    }

    @Override
    public int architecture(long context) {
        enter(context);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            call("asking for the context's device", getDevice, value);
            int device = value.get(JAVA_INT, 0);
            call("asking for the compute capability", getAttribute, value, MAJOR, device);
            int major = value.get(JAVA_INT, 0);
            call("asking for the compute capability", getAttribute, value, MINOR, device);
            return 10 * major + value.get(JAVA_INT, 0);
        }
    }

    @Override
    public long loadModule(long context, byte[] image) {
        enter(context);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate(image.length + 1L, Long.BYTES); // PTX text ends with a zero
            MemorySegment.copy(image, 0, copy, java.lang.foreign.ValueLayout.JAVA_BYTE, 0, image.length);
            MemorySegment module = arena.allocate(JAVA_LONG);
            call("loading kernels", load, module, copy);
            return module.get(JAVA_LONG, 0);
        }
    }

    @Override
    public long function(long context, long module, String name, int sharedBytes) {
        enter(context);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment function = arena.allocate(JAVA_LONG);
            call("finding kernel " + name, getFunction, function, module, arena.allocateFrom(name));
            long found = function.get(JAVA_LONG, 0);
            if (sharedBytes > ORDINARY_SHARED_BYTES) {
                call("allowing shared memory to " + name, setFunctionAttribute, found, MAX_SHARED, sharedBytes);
            }
            return found;
        }
    }

    @Override
    public void launch(long context, long function, Launch launch, long[] words) {
        enter(context);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment structure = arena.allocateFrom(JAVA_LONG, words);
            MemorySegment parameters = arena.allocateFrom(ADDRESS, structure);
            call(
                    "starting a kernel",
                    launchKernel,
                    function,
                    launch.blocks(),
                    1,
                    1,
                    launch.threads(),
                    1,
                    1,
                    launch.sharedBytes(),
                    launch.stream(),
                    parameters,
                    MemorySegment.NULL);
        }
    }

    @Override
    public void unloadModule(long context, long module) {
        enter(context);
        call("unloading kernels", unload, module);
    }
}
