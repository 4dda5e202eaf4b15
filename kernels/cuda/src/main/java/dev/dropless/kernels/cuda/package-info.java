/**
 * The CUDA back end. Its kernels are CUDA C++ in {@code src/main/cuda}; the jar carries them compiled for sm_80 and sm_90a, and as PTX.
 */
@NullMarked
package dev.dropless.kernels.cuda;

import org.jspecify.annotations.NullMarked;
