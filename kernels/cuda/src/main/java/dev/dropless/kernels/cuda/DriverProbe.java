package dev.dropless.kernels.cuda;

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
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import org.jspecify.annotations.Nullable;

/**
 * What the driver on this machine offers, found through {@code java.lang.foreign} alone.
 *
 * @param cause why CUDA cannot be used, or null if it can
 * @param driverVersion CUDA version of the driver, 1000 * major + 10 * minor; 0 without a driver
 * @param devices the devices, as far as they could be asked
 */
record DriverProbe(@Nullable String cause, int driverVersion, List<Device> devices) {

    /** Name of the driver's library. */
    static final String LIBRARY = "libcuda.so.1";

    /** The natives of JCuda 12.6.0 are built against CUDA 12.0. */
    static final int OLDEST_DRIVER = 12_000;

    /** The portable kernels' architecture. */
    static final int OLDEST_ARCHITECTURE = 80;

    /** Functions of the driver that this module calls, through JCuda or on its own. A missing one would end the JVM when JCuda calls it. */
    static final List<String> REQUIRED = List.of(
            "cuInit",
            "cuDriverGetVersion",
            "cuDeviceGet",
            "cuDeviceGetCount",
            "cuDeviceGetName",
            "cuDeviceGetAttribute",
            "cuDeviceTotalMem_v2",
            "cuDevicePrimaryCtxRetain",
            "cuDevicePrimaryCtxRelease_v2",
            "cuDeviceGetDefaultMemPool",
            "cuMemPoolSetAttribute",
            "cuMemPoolGetAttribute",
            "cuCtxSetCurrent",
            "cuCtxGetCurrent",
            "cuModuleLoadData",
            "cuModuleUnload",
            "cuModuleGetFunction",
            "cuFuncSetAttribute",
            "cuFuncGetAttribute",
            "cuOccupancyMaxActiveBlocksPerMultiprocessor",
            "cuLaunchKernel",
            "cuLaunchKernelEx",
            "cuTensorMapEncodeTiled",
            "cuMemGetInfo_v2",
            "cuMemAllocAsync",
            "cuMemFreeAsync",
            "cuMemcpyHtoDAsync_v2",
            "cuMemcpyDtoHAsync_v2",
            "cuMemcpyDtoDAsync_v2",
            "cuMemcpy2DAsync_v2",
            "cuMemcpy3DAsync_v2",
            "cuMemsetD8Async",
            "cuStreamCreate",
            "cuStreamDestroy_v2",
            "cuStreamSynchronize",
            "cuStreamWaitEvent",
            "cuStreamIsCapturing",
            "cuStreamBeginCapture_v2",
            "cuStreamEndCapture",
            "cuEventCreate",
            "cuEventDestroy_v2",
            "cuEventRecord",
            "cuEventSynchronize",
            "cuEventElapsedTime",
            "cuGraphInstantiateWithFlags",
            "cuGraphUpload",
            "cuGraphLaunch",
            "cuGraphDestroy",
            "cuGraphExecDestroy",
            "cuGetErrorName",
            "cuGetErrorString");

    /**
     * A device.
     *
     * @param name what the driver calls it
     * @param architecture 10 * major + minor of its compute capability
     * @param multiprocessors number of streaming multiprocessors
     * @param memory bytes of device memory
     */
    record Device(String name, int architecture, int multiprocessors, long memory) {

        String describe() {
            return "%s, sm_%d, %d multiprocessors, %d MiB".formatted(name, architecture, multiprocessors, memory >> 20);
        }
    }

    /**
     * Asks the driver. Never throws: whatever goes wrong is the cause.
     *
     * @param library name or path of the driver's library
     * @return what was found
     */
    static DriverProbe of(String library) {
        SymbolLookup lookup;
        try {
            lookup = SymbolLookup.libraryLookup(library, Arena.global());
        } catch (IllegalArgumentException e) {
            return absent(
                    "no NVIDIA driver: %s cannot be opened (install the driver, or put its folder on LD_LIBRARY_PATH)"
                            .formatted(library));
        } catch (IllegalCallerException e) {
            return absent(
                    "native access is off: start Java with --enable-native-access=dev.dropless.kernels.cuda,ALL-UNNAMED");
        }
        try (Arena arena = Arena.ofConfined()) {
            return new Asking(lookup, arena).ask(library);
        }
    }

    private static DriverProbe absent(String cause) {
        return new DriverProbe(cause, 0, List.of());
    }

    /** The calls, with their one scratch arena. */
    private record Asking(SymbolLookup lookup, Arena arena) {

        DriverProbe ask(String library) {
            MemorySegment number = arena.allocate(JAVA_INT);
            if (lookup.find("cuInit").isEmpty()
                    || lookup.find("cuDriverGetVersion").isEmpty()) {
                return absent("%s is no CUDA driver: it has no function cuInit".formatted(library));
            }
            int initialised = call("cuInit", 0);
            int version = call("cuDriverGetVersion", number) == CUresult.CUDA_SUCCESS ? number.get(JAVA_INT, 0) : 0;
            if (initialised != CUresult.CUDA_SUCCESS) {
                return refused(version, "the driver does not start: %s".formatted(describe("cuInit", initialised)));
            }
            List<String> missing =
                    REQUIRED.stream().filter(f -> lookup.find(f).isEmpty()).toList();
            if (version < OLDEST_DRIVER || !missing.isEmpty()) {
                return refused(
                        version,
                        "the driver is too old: it is for CUDA %d.%d, %d.%d or newer is needed%s"
                                .formatted(
                                        version / 1000,
                                        version % 1000 / 10,
                                        OLDEST_DRIVER / 1000,
                                        OLDEST_DRIVER % 1000 / 10,
                                        missing.isEmpty() ? "" : " (it lacks " + String.join(", ", missing) + ")"));
            }
            int counted = call("cuDeviceGetCount", number);
            if (counted != CUresult.CUDA_SUCCESS || number.get(JAVA_INT, 0) == 0) {
                return refused(
                        version,
                        "the driver finds no device (CUDA_VISIBLE_DEVICES?)"
                                + (counted == CUresult.CUDA_SUCCESS
                                        ? ""
                                        : ": " + describe("cuDeviceGetCount", counted)));
            }
            List<Device> devices = devices(number.get(JAVA_INT, 0));
            if (devices.stream().noneMatch(d -> d.architecture() >= OLDEST_ARCHITECTURE)) {
                return new DriverProbe(
                        "no device of architecture sm_%d or newer: found %s"
                                .formatted(
                                        OLDEST_ARCHITECTURE,
                                        String.join(
                                                "; ",
                                                devices.stream()
                                                        .map(Device::describe)
                                                        .toList())),
                        version,
                        devices);
            }
            return new DriverProbe(null, version, devices);
        }

        private static DriverProbe refused(int version, String cause) {
            return new DriverProbe(cause, version, List.of());
        }

        private List<Device> devices(int count) {
            List<Device> devices = new ArrayList<>();
            MemorySegment name = arena.allocate(256);
            MemorySegment device = arena.allocate(JAVA_INT);
            MemorySegment bytes = arena.allocate(JAVA_LONG);
            for (int ordinal = 0; ordinal < count; ordinal++) {
                name.fill((byte) 0);
                bytes.fill((byte) 0);
                call("cuDeviceGet", device, ordinal);
                int handle = device.get(JAVA_INT, 0);
                call("cuDeviceGetName", name, (int) name.byteSize() - 1, handle);
                call("cuDeviceTotalMem_v2", bytes, handle);
                int major = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle);
                int minor = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle);
                devices.add(new Device(
                        name.getString(0),
                        10 * major + minor,
                        attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, handle),
                        bytes.get(JAVA_LONG, 0)));
            }
            return List.copyOf(devices);
        }

        private int attribute(int attribute, int device) {
            MemorySegment value = arena.allocate(JAVA_INT);
            return call("cuDeviceGetAttribute", value, attribute, device) == CUresult.CUDA_SUCCESS
                    ? value.get(JAVA_INT, 0)
                    : 0;
        }

        private static String describe(String function, int result) {
            String hint = CudaResults.hint(result);
            return "%s returned %s (%d)%s"
                    .formatted(function, CUresult.stringFor(result), result, hint.isEmpty() ? "" : ", " + hint);
        }

        /** Calls a function whose arguments are addresses and ints. */
        private int call(String function, Object... arguments) {
            MemoryLayout[] layouts = new MemoryLayout[arguments.length];
            for (int i = 0; i < arguments.length; i++) {
                layouts[i] = arguments[i] instanceof MemorySegment ? ADDRESS : JAVA_INT;
            }
            MethodHandle handle = Linker.nativeLinker()
                    .downcallHandle(lookup.find(function).orElseThrow(), FunctionDescriptor.of(JAVA_INT, layouts));
            return ForeignCalls.invoke(handle, arguments);
        }
    }
}
