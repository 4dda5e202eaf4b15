package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One tensor for each parameter of a layer, or, as gradients, for each trainable one. Tensors lie in the back end's memory; read and write them through
 * {@link KernelMemory#copy}, {@link ExpertWeights#load} and {@link ExpertWeights#store}, or elementwise through {@link #storage}.
 *
 * <p>Orientation of the matrices is [out, in], as checkpoints have them: y = x W^T.
 */
public abstract sealed class LayerTensors implements AutoCloseable permits MoeParameters, MoeGradients {

    private final MoeConfig config;
    private final KernelMemory memory;
    private final KernelMemory.Scope scope;
    private final @Nullable ExpertWeights experts;
    private final @Nullable ExpertWeights shared;
    private final @Nullable Matrix routerWeight;
    private final @Nullable Matrix routerBias;
    private final @Nullable Matrix noiseWeight;
    private final @Nullable Matrix sharedGate;
    private final @Nullable Matrix latentIn;
    private final @Nullable Matrix latentOut;
    private final @Nullable Matrix outputBias;
    private boolean closed;

    /** Allocates, all zero, the tensors of the groups in {@code present}. */
    LayerTensors(
            Kernels kernels,
            MoeConfig config,
            Set<Trainable> present,
            ElementType expertType,
            ElementType otherType,
            boolean int8Experts) {
        this.config = config;
        this.memory = kernels.memory();
        this.scope = memory.open();
        int hidden = config.hiddenSize();
        boolean anyExperts = present.contains(Trainable.EXPERTS_UP) || present.contains(Trainable.EXPERTS_DOWN);
        boolean router = present.contains(Trainable.ROUTER);
        SharedExpert sharedExpert = present.contains(Trainable.SHARED) ? config.shared() : null;
        boolean latent = config.hasLatent() && present.contains(Trainable.LATENT);

        routerWeight = router ? zeros(otherType, config.routedChoices(), hidden) : null;
        routerBias = router && config.routerBias() ? zeros(otherType, 1, config.routedChoices()) : null;
        noiseWeight = router && config.noisyGating() ? zeros(otherType, config.routedChoices(), hidden) : null;
        sharedGate = sharedExpert != null && sharedExpert.sigmoidGate() ? zeros(otherType, 1, hidden) : null;
        latentIn = latent ? zeros(expertType, config.latentSize(), hidden) : null;
        latentOut = latent ? zeros(expertType, hidden, config.latentSize()) : null;
        outputBias =
                config.outputBias() && present.contains(Trainable.OUTPUT_BIAS) ? zeros(otherType, 1, hidden) : null;
        experts = anyExperts ? allocate(kernels, config.experts(), expertType, int8Experts) : null;
        shared = sharedExpert == null ? null : allocate(kernels, sharedExpert.shape(), expertType, int8Experts);
    }

    private static ExpertWeights allocate(Kernels kernels, ExpertShape shape, ElementType type, boolean int8) {
        return int8 ? kernels.experts().allocateInt8(shape) : kernels.experts().allocate(shape, type);
    }

    final Matrix zeros(ElementType type, long rows, long columns) {
        Matrix matrix = scope.allocate(type, rows, columns);
        clear(matrix);
        return matrix;
    }

    private void clear(Matrix matrix) {
        double[] zero = new double[Math.toIntExact(matrix.columns())];
        Matrix row = Matrix.of(zero, 1, matrix.columns());
        for (long i = 0; i < matrix.rows(); i++) {
            memory.copy(row, matrix.sliceRows(i, 1));
        }
    }

    final MoeConfig config() {
        return config;
    }

    final KernelMemory memory() {
        return memory;
    }

    final @Nullable ExpertWeights expertsOrNull() {
        return experts;
    }

    final @Nullable Matrix routerWeightOrNull() {
        return routerWeight;
    }

    /**
     * The router's bias.
     *
     * @return [1, routedChoices], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix routerBias() {
        return routerBias;
    }

    /**
     * The weight Wn of noisy gating.
     *
     * @return [routedChoices, hiddenSize], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix noiseWeight() {
        return noiseWeight;
    }

    /**
     * The shared expert.
     *
     * @return its weights, or null where the configuration has none, or it is frozen
     */
    public final @Nullable ExpertWeights shared() {
        return shared;
    }

    /**
     * The weight ws of the shared expert's sigmoid gate.
     *
     * @return [1, hiddenSize], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix sharedGate() {
        return sharedGate;
    }

    /**
     * The projection fc1 to the latent space.
     *
     * @return [latentSize, hiddenSize], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix latentIn() {
        return latentIn;
    }

    /**
     * The projection fc2 from the latent space.
     *
     * @return [hiddenSize, latentSize], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix latentOut() {
        return latentOut;
    }

    /**
     * The output bias.
     *
     * @return [1, hiddenSize], or null where the configuration has none, or it is frozen
     */
    public final @Nullable Matrix outputBias() {
        return outputBias;
    }

    /**
     * Everything, for elementwise work. Parameters and their gradients (of all groups) have the same matrices in the same order, so that element i of one belongs
     * to element i of the other.
     *
     * @return dense matrices in the back end's memory, in a fixed order; the selection bias is not among them
     */
    public final List<Matrix> storage() {
        List<Matrix> all = new ArrayList<>();
        for (Matrix matrix : matrices()) {
            if (matrix != null) {
                all.add(matrix);
            }
        }
        for (ExpertWeights weights : expertGroups()) {
            if (weights != null) {
                all.addAll(weights.storage());
            }
        }
        return List.copyOf(all);
    }

    private @Nullable Matrix[] matrices() {
        return new @Nullable Matrix[] {
            routerWeight, routerBias, noiseWeight, sharedGate, latentIn, latentOut, outputBias
        };
    }

    private @Nullable ExpertWeights[] expertGroups() {
        return new @Nullable ExpertWeights[] {experts, shared};
    }

    final void clearAll() {
        for (Matrix matrix : matrices()) {
            if (matrix != null) {
                clear(matrix);
            }
        }
        for (ExpertWeights weights : expertGroups()) {
            if (weights != null) {
                weights.zero();
            }
        }
    }

    /** Frees the tensors. A second call does nothing. */
    @Override
    public final void close() {
        if (closed) {
            return;
        }
        closed = true;
        scope.close();
        for (ExpertWeights weights : expertGroups()) {
            if (weights != null) {
                weights.close();
            }
        }
    }
}
