package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * Device memory, taken and given back in the order of a stream: work queued before {@link #close} may still use it, and so may work queued after {@link #allocate}
 * in the same stream. Freed memory stays with the process for the next allocation.
 */
final class DeviceBuffer implements Handles.Handle {

    private final DeviceContext context;
    private final DeviceStream stream;
    private final CUdeviceptr pointer;
    private final long address;
    private final long bytes;

    private DeviceBuffer(DeviceContext context, DeviceStream stream, Raw pointer, long bytes) {
        this.context = context;
        this.stream = stream;
        this.pointer = pointer;
        this.address = pointer.address();
        this.bytes = bytes;
    }

    /** Makes the address readable. */
    private static final class Raw extends CUdeviceptr {
        long address() {
            return getNativePointer() + getByteOffset();
        }
    }

    /**
     * Takes memory, aligned to 256 bytes; none for 0 bytes.
     *
     * @throws CudaException if the device has not that much left; the message says how much it has
     */
    static DeviceBuffer allocate(DeviceContext context, DeviceStream stream, long bytes) {
        Raw pointer = new Raw();
        if (bytes > 0) {
            context.enter();
            int result = JCudaDriver.cuMemAllocAsync(pointer, bytes, stream.forMemory());
            if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
                long[] memory = context.memory();
                check(
                        result,
                        "allocating %d bytes on device %d (%d of %d bytes free)"
                                .formatted(bytes, context.ordinal(), memory[0], memory[1]));
            }
            check(result, "allocating %d bytes on device %d".formatted(bytes, context.ordinal()));
        }
        return context.handles().opened(new DeviceBuffer(context, stream, pointer, bytes));
    }

    /** Where it begins; 0 where it is empty. */
    long address() {
        return address;
    }

    long bytes() {
        return bytes;
    }

    /** Queues setting every byte to zero. */
    void clear() {
        if (bytes > 0) {
            context.enter();
            check(
                    JCudaDriver.cuMemsetD8Async(pointer, (byte) 0, bytes, stream.handle()),
                    "clearing %d bytes of device memory".formatted(bytes));
        }
    }

    @Override
    public String kind() {
        return "device memory";
    }

    @Override
    public void close() {
        if (context.handles().closed(this) && bytes > 0) {
            context.enter();
            check(JCudaDriver.cuMemFreeAsync(pointer, stream.forMemory()), "freeing device memory");
        }
    }
}
