package dev.dropless.kernels.cuda;

import jcuda.driver.CUresult;

/** A call to the CUDA driver failed. The message is one line: what was attempted, the name of the result, what it means and what helps. */
public final class CudaException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The driver's CUresult. */
    private final int result;

    CudaException(String attempted, int result, String hint) {
        super("%s: %s (%d)%s"
                .formatted(attempted, CUresult.stringFor(result), result, hint.isEmpty() ? "" : ", " + hint));
        this.result = result;
    }

    /**
     * Returns the number of the driver's result.
     *
     * @return a CUresult, never 0
     */
    public int result() {
        return result;
    }

    /**
     * Tells whether the device ran out of memory.
     *
     * @return true for CUDA_ERROR_OUT_OF_MEMORY
     */
    public boolean isOutOfMemory() {
        return result == CUresult.CUDA_ERROR_OUT_OF_MEMORY;
    }

    /**
     * Tells whether the context is lost: every later call will fail too, and only a new process can use the device again.
     *
     * @return true for the errors that the driver documents as sticky
     */
    public boolean isDeviceLost() {
        return CudaResults.isSticky(result);
    }
}
