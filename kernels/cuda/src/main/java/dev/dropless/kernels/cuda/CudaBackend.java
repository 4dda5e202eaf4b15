package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;

/**
 * Back end "cuda": NVIDIA GPUs of architecture sm_80 and newer, with single-precision sums; operands and weights of type F32, BF16 and F16.
 *
 * <p>It needs a driver for CUDA 12.0 or newer, nothing else of CUDA, and JCuda's native library: on the class path JCuda unpacks it into the folder of temporary
 * files; on the module path the folder that holds it must be on {@code java.library.path}.
 *
 * <p>Results are identical, bit for bit, from run to run on one kind of device. All work of one opened back end runs in one stream, in the order in which
 * it was asked for; only {@link dev.dropless.blocksparse.spi.KernelMemory#copy} to the host waits for it.
 */
public final class CudaBackend implements KernelBackend {

    static final String NAME = "cuda";

    /** Creates the back end; it has no state. */
    public CudaBackend() {}

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return 100;
    }

    @Override
    public Availability availability() {
        return CudaAvailability.remembered().availability();
    }

    /**
     * Takes a device's context and loads the kernels.
     *
     * @param options number of the device, threads for work that is not a kernel
     * @return the kernels
     * @throws IllegalArgumentException if there is no device of that number, or its architecture is too old
     * @throws IllegalStateException if CUDA cannot be used, with the cause
     * @throws CudaException if the driver refuses
     */
    @Override
    public Kernels open(BackendOptions options) {
        return CudaKernels.open(CudaAvailability.remembered(), NAME, options);
    }
}
