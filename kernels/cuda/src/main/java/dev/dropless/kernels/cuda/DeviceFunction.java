package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.JCudaDriver;

/** A kernel of a loaded module. */
final class DeviceFunction {

    /** Dynamic shared memory that needs no permission. */
    private static final int ORDINARY_SHARED_BYTES = 48 << 10;

    private final DeviceContext context;
    private final String name;
    private final Raw function;
    private int allowedSharedBytes = ORDINARY_SHARED_BYTES;

    /** Makes the address readable, which foreign calls need. */
    static final class Raw extends CUfunction {
        long address() {
            return getNativePointer();
        }
    }

    DeviceFunction(DeviceContext context, String name, Raw function) {
        this.context = context;
        this.name = name;
        this.function = function;
    }

    String name() {
        return name;
    }

    long address() {
        return function.address();
    }

    /** Reads a CUfunction_attribute. */
    int attribute(int attribute) {
        int[] value = new int[1];
        context.enter();
        check(
                JCudaDriver.cuFuncGetAttribute(value, attribute, function),
                "reading %s of %s".formatted(CUfunction_attribute.stringFor(attribute), name));
        return value[0];
    }

    /** Permits that much dynamic shared memory, where it is more than every launch may have. */
    synchronized void allowShared(int bytes) {
        if (bytes > allowedSharedBytes) {
            check(
                    JCudaDriver.cuFuncSetAttribute(
                            function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes),
                    "allowing %s %d bytes of shared memory".formatted(name, bytes));
            allowedSharedBytes = bytes;
        }
    }

    /**
     * Blocks of this kernel that one multiprocessor runs at a time.
     *
     * @param threads threads of a block
     * @param sharedBytes dynamic shared memory of a block
     */
    int blocksPerMultiprocessor(int threads, int sharedBytes) {
        int[] blocks = new int[1];
        context.enter();
        allowShared(sharedBytes);
        check(
                JCudaDriver.cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, sharedBytes),
                "asking how many blocks of " + name + " fit a multiprocessor");
        return blocks[0];
    }

    /** Starts the kernel in a stream. The arguments are copied before this returns. */
    void launch(DeviceStream stream, Launch launch, KernelArguments arguments) {
        if (launch.isEmpty()) {
            return;
        }
        context.enter();
        allowShared(launch.sharedBytes());
        if (launch.needsAttributes()) {
            context.extras().launch(this, stream, launch, arguments);
            return;
        }
        check(
                JCudaDriver.cuLaunchKernel(
                        function,
                        launch.gridX(),
                        launch.gridY(),
                        launch.gridZ(),
                        launch.blockX(),
                        1,
                        1,
                        launch.sharedBytes(),
                        stream.forKernel(),
                        arguments.pointer(),
                        null),
                "starting kernel " + name);
    }
}
