package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * The matrices of all experts' weights, as one product takes them: as far as it uses them in F32, or in 16 bits for tensor cores.
 *
 * @param shape sizes
 * @param input gate, and up where gated: [E * H, P]
 * @param output down: [E * F, H]
 * @param inputBias biases of gate and up: [E, P], or null
 * @param outputBias biases of down: [E, H], or null
 */
record Projections(
        ExpertShape shape,
        Matrix input,
        Matrix output,
        @Nullable Matrix inputBias,
        @Nullable Matrix outputBias) {}
