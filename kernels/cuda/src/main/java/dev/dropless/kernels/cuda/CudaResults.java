package dev.dropless.kernels.cuda;

import static jcuda.driver.CUresult.*;

/** Turns results of the driver into exceptions. */
final class CudaResults {

    /** Not in JCuda: CUDA_ERROR_CONTAINED and its like are newer than 12.6, yet as final as those that are. */
    private static final int CUDA_ERROR_CONTAINED = 721;

    private CudaResults() {}

    /**
     * Returns if a call succeeded.
     *
     * @param result what the call returned
     * @param attempted what was attempted, for the message
     * @throws CudaException if it did not
     */
    static void check(int result, String attempted) {
        if (result != CUDA_SUCCESS) {
            throw new CudaException(attempted, result, hint(result));
        }
    }

    /** Errors after which the context is of no use. */
    static boolean isSticky(int result) {
        return switch (result) {
            case CUDA_ERROR_ECC_UNCORRECTABLE,
                    CUDA_ERROR_NVLINK_UNCORRECTABLE,
                    CUDA_ERROR_ILLEGAL_ADDRESS,
                    CUDA_ERROR_LAUNCH_TIMEOUT,
                    CUDA_ERROR_ASSERT,
                    CUDA_ERROR_HARDWARE_STACK_ERROR,
                    CUDA_ERROR_ILLEGAL_INSTRUCTION,
                    CUDA_ERROR_MISALIGNED_ADDRESS,
                    CUDA_ERROR_INVALID_ADDRESS_SPACE,
                    CUDA_ERROR_INVALID_PC,
                    CUDA_ERROR_LAUNCH_FAILED,
                    CUDA_ERROR_CONTEXT_IS_DESTROYED,
                    CUDA_ERROR_CONTAINED,
                    CUDA_ERROR_UNKNOWN -> true;
            default -> false;
        };
    }

    /** What a result means for the user; empty where its name says it. */
    static String hint(int result) {
        if (isSticky(result)) {
            return "the device is lost to this process: start a new one";
        }
        return switch (result) {
            case CUDA_ERROR_OUT_OF_MEMORY -> "the device has no memory left for this";
            case CUDA_ERROR_NO_DEVICE -> "the driver finds no device it may use (CUDA_VISIBLE_DEVICES?)";
            case CUDA_ERROR_NO_BINARY_FOR_GPU ->
                "the kernels were built for other architectures: sm_80 or newer is needed";
            case CUDA_ERROR_INVALID_PTX, CUDA_ERROR_UNSUPPORTED_PTX_VERSION ->
                "the driver is older than the kernels: update it";
            case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE ->
                "the kernel module and libcuda.so.1 are of different versions: restart or reinstall the driver";
            case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED ->
                "this operation cannot be part of a graph";
            default -> "";
        };
    }
}
