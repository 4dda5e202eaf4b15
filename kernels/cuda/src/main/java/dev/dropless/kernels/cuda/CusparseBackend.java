package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;

/**
 * Back end "cusparse": NVIDIA's sparse library as a vendor path to measure against; never chosen unless it is named. It has one operation, {@link
 * dev.dropless.blocksparse.spi.BlockSparseKernels#dsd dsd} with an untransposed sparse operand of uniform blocks, and refuses all others by name.
 *
 * <p>In BF16 and F16 the matrix is Blocked-ELL, which fits exactly: every block row of an MoE matrix has ffnHiddenSize / blockSize blocks. In F32 it is BSR through
 * the legacy {@code bsrmm}. It needs libcusparse.so.12 beside the driver.
 */
public final class CusparseBackend implements KernelBackend {

    static final String NAME = "cusparse";

    /** Below every back end that can do more. */
    private static final int PRIORITY = -1;

    /** Creates the back end; it has no state. */
    public CusparseBackend() {}

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return PRIORITY;
    }

    @Override
    public Availability availability() {
        return CusparseLibrary.availability(CudaAvailability.remembered(), CusparseLibrary.LIBRARY);
    }

    /**
     * Takes a device's context, loads the kernels and the library.
     *
     * @param options number of the device, threads for work that is not a kernel
     * @return the kernels
     * @throws IllegalArgumentException if there is no device of that number, or its architecture is too old
     * @throws IllegalStateException if CUDA or cuSPARSE cannot be used, with the cause
     * @throws CudaException if the driver refuses
     */
    @Override
    public Kernels open(BackendOptions options) {
        Availability availability = availability();
        if (!availability.isAvailable()) {
            throw new IllegalStateException("backend %s is not available: %s".formatted(NAME, availability.cause()));
        }
        return new CusparseKernels(CudaKernels.open(CudaAvailability.remembered(), NAME, options));
    }
}
