package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/** Functions of the driver that JCuda 12.6 lacks, called through {@code java.lang.foreign}. */
final class DriverExtras {

    /** CU_MEMPOOL_ATTR_RELEASE_THRESHOLD. */
    private static final int RELEASE_THRESHOLD = 4;

    /** CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT. */
    private static final int RESERVED_MEMORY = 5;

    /** CU_MEMPOOL_ATTR_USED_MEM_CURRENT. */
    private static final int USED_MEMORY = 7;

    private static final int CLUSTER_DIMENSION = 4;
    private static final int PROGRAMMATIC_STREAM_SERIALIZATION = 6;
    private static final int LAUNCH_CONFIG_BYTES = 56;
    private static final int LAUNCH_ATTRIBUTE_BYTES = 72;
    private static final int LAUNCH_ATTRIBUTE_VALUE = 8;

    /** Bytes and alignment of a CUtensorMap. */
    static final int TENSOR_MAP_BYTES = 128;

    private final MethodHandle launchKernelEx;
    private final MethodHandle encodeTiled;
    private final MethodHandle defaultPool;
    private final MethodHandle setPoolAttribute;
    private final MethodHandle getPoolAttribute;

    DriverExtras(String library) {
        SymbolLookup lookup = SymbolLookup.libraryLookup(library, Arena.global());
        launchKernelEx =
                find(lookup, "cuLaunchKernelEx", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS));
        encodeTiled = find(
                lookup,
                "cuTensorMapEncodeTiled",
                FunctionDescriptor.of(
                        JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT,
                        JAVA_INT, JAVA_INT, JAVA_INT));
        defaultPool = find(lookup, "cuDeviceGetDefaultMemPool", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
        setPoolAttribute =
                find(lookup, "cuMemPoolSetAttribute", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, ADDRESS));
        getPoolAttribute =
                find(lookup, "cuMemPoolGetAttribute", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, ADDRESS));
    }

    private static MethodHandle find(SymbolLookup lookup, String function, FunctionDescriptor type) {
        return Linker.nativeLinker()
                .downcallHandle(
                        lookup.find(function)
                                .orElseThrow(
                                        () -> new IllegalStateException("the driver is too old: it lacks " + function)),
                        type);
    }

    /**
     * Lets freed memory stay with the process instead of going back to the system at the next synchronisation, which costs more than an allocation.
     *
     * @param device number of the device
     */
    void keepFreedMemory(int device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment threshold = arena.allocateFrom(JAVA_LONG, -1L);
            check(
                    ForeignCalls.invoke(setPoolAttribute, pool(arena, device), RELEASE_THRESHOLD, threshold),
                    "setting up the memory pool of device " + device);
        }
    }

    /**
     * Tells how much freed memory stays with the process.
     *
     * @param device number of the device
     * @return bytes that can be allocated again
     */
    long keptMemory(int device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pool = pool(arena, device);
            return attribute(arena, pool, RESERVED_MEMORY) - attribute(arena, pool, USED_MEMORY);
        }
    }

    private MemorySegment pool(Arena arena, int device) {
        MemorySegment pool = arena.allocate(ADDRESS);
        check(ForeignCalls.invoke(defaultPool, pool, device), "asking for the memory pool of device " + device);
        return pool.get(ADDRESS, 0);
    }

    private long attribute(Arena arena, MemorySegment pool, int attribute) {
        MemorySegment value = arena.allocate(JAVA_LONG);
        check(ForeignCalls.invoke(getPoolAttribute, pool, attribute, value), "asking a memory pool for its size");
        return value.get(JAVA_LONG, 0);
    }

    /** cuLaunchKernelEx with the attributes that a launch asks for. */
    void launch(DeviceFunction function, DeviceStream stream, Launch launch, KernelArguments arguments) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment attributes = arena.allocate(2L * LAUNCH_ATTRIBUTE_BYTES, 8);
            int count = 0;
            if (launch.clusterX() > 1) {
                attributes.set(JAVA_INT, 0, CLUSTER_DIMENSION);
                attributes.set(JAVA_INT, LAUNCH_ATTRIBUTE_VALUE, launch.clusterX());
                attributes.set(JAVA_INT, LAUNCH_ATTRIBUTE_VALUE + 4, 1);
                attributes.set(JAVA_INT, LAUNCH_ATTRIBUTE_VALUE + 8, 1);
                count++;
            }
            if (launch.afterPrevious()) {
                long base = (long) count * LAUNCH_ATTRIBUTE_BYTES;
                attributes.set(JAVA_INT, base, PROGRAMMATIC_STREAM_SERIALIZATION);
                attributes.set(JAVA_INT, base + LAUNCH_ATTRIBUTE_VALUE, 1);
                count++;
            }
            MemorySegment config = arena.allocate(LAUNCH_CONFIG_BYTES, 8);
            int[] sizes = {launch.gridX(), launch.gridY(), launch.gridZ(), launch.blockX(), 1, 1, launch.sharedBytes()};
            MemorySegment.copy(sizes, 0, config, JAVA_INT, 0, sizes.length);
            config.set(JAVA_LONG, 32, stream.addressForKernel());
            config.set(ADDRESS, 40, attributes);
            config.set(JAVA_INT, 48, count);
            check(
                    ForeignCalls.invoke(
                            launchKernelEx,
                            config,
                            MemorySegment.ofAddress(function.address()),
                            arguments.table(),
                            MemorySegment.NULL),
                    "starting kernel " + function.name());
        }
    }

    /**
     * Describes a row-major tensor in device memory for the bulk copy engine (sm_90).
     *
     * @param map receives the description: {@link #TENSOR_MAP_BYTES} bytes of native memory, so aligned
     * @param type CUtensorMapDataType: 6 float16, 7 float32, 9 bfloat16
     * @param address device address, a multiple of 16
     * @param sizes elements of each dimension, innermost first
     * @param strides bytes between neighbours of each dimension but the innermost, multiples of 16
     * @param box elements of a copied box in each dimension
     * @param swizzle CUtensorMapSwizzle: 0 none to 3 128 bytes
     * @param promotion CUtensorMapL2promotion: 0 none to 3 256 bytes
     */
    void encodeTensorMap(
            MemorySegment map,
            int type,
            long address,
            long[] sizes,
            long[] strides,
            int[] box,
            int swizzle,
            int promotion) {
        try (Arena arena = Arena.ofConfined()) {
            int[] ones = new int[sizes.length];
            java.util.Arrays.fill(ones, 1);
            check(
                    ForeignCalls.invoke(
                            encodeTiled,
                            map,
                            type,
                            sizes.length,
                            MemorySegment.ofAddress(address),
                            arena.allocateFrom(JAVA_LONG, sizes),
                            arena.allocateFrom(JAVA_LONG, strides),
                            arena.allocateFrom(JAVA_INT, box),
                            arena.allocateFrom(JAVA_INT, ones),
                            0,
                            swizzle,
                            promotion,
                            0),
                    "describing a tensor of %d dimensions".formatted(sizes.length));
        }
    }
}
