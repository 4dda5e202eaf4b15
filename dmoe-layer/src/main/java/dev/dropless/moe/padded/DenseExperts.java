package dev.dropless.moe.padded;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/** The weights of all experts as dense matrices [E * rows, columns] in the orientation y = x W, one for each part; and products with them, expert by expert. */
final class DenseExperts implements AutoCloseable {

    private final Kernels kernels;
    private final ExpertShape shape;
    private final KernelMemory.Scope scope;
    private final Map<WeightPart, Matrix> parts = new EnumMap<>(WeightPart.class);

    DenseExperts(Kernels kernels, ExpertShape shape, ElementType type) {
        this.kernels = kernels;
        this.shape = shape;
        this.scope = kernels.memory().open();
        for (WeightPart part : WeightPart.values()) {
            if (shape.has(part)) {
                parts.put(
                        part, scope.allocate(type, (long) shape.numExperts() * shape.rows(part), shape.columns(part)));
            }
        }
    }

    ExpertShape shape() {
        return shape;
    }

    boolean has(WeightPart part) {
        return shape.has(part);
    }

    private Matrix expert(WeightPart part, int expert) {
        long rows = shape.rows(part);
        return Objects.requireNonNull(parts.get(part)).sliceRows(expert * rows, rows);
    }

    /** Reads one part of all experts out of packed weights. */
    void export(ExpertWeights source, WeightPart part) {
        for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
            source.store(part, e, expert(part, e), Transpose.N);
        }
    }

    /** Writes one part of all experts into packed weights. */
    void importInto(ExpertWeights target, WeightPart part) {
        for (int e = 0; shape.has(part) && e < shape.numExperts(); e++) {
            target.load(part, e, expert(part, e), Transpose.N);
        }
    }

    private static Matrix block(Matrix binned, int expert, int capacity) {
        return binned.sliceRows((long) expert * capacity, capacity);
    }

    /** Batched product, one dense product for every expert: out = in W, or out = in W^T; out += ... if {@code accumulate}. */
    void multiply(Matrix in, WeightPart part, Transpose transpose, Matrix out, boolean accumulate) {
        int capacity = (int) (in.rows() / shape.numExperts());
        for (int e = 0; e < shape.numExperts(); e++) {
            kernels.blockSparse()
                    .gemm(
                            block(in, e, capacity),
                            Transpose.N,
                            expert(part, e),
                            transpose,
                            block(out, e, capacity),
                            accumulate);
        }
    }

    /** out[row] += bias of the row's expert, padding rows included; nothing without that bias. */
    void addBias(WeightPart part, Matrix out) {
        if (!shape.has(part)) {
            return;
        }
        int capacity = (int) (out.rows() / shape.numExperts());
        try (KernelMemory.Scope scratch = kernels.memory().open()) {
            Matrix ones = ones(scratch, capacity);
            for (int e = 0; e < shape.numExperts(); e++) {
                kernels.blockSparse()
                        .gemm(ones, Transpose.N, expert(part, e), Transpose.N, block(out, e, capacity), true);
            }
        }
    }

    /** Adds to a part, taken as gradients: in^T dOut for every expert. */
    void addWeightGradient(Matrix in, Matrix dOut, WeightPart part) {
        int capacity = (int) (in.rows() / shape.numExperts());
        BlockSparseKernels products = kernels.blockSparse();
        for (int e = 0; e < shape.numExperts(); e++) {
            products.gemm(
                    block(in, e, capacity), Transpose.T, block(dOut, e, capacity), Transpose.N, expert(part, e), true);
        }
    }

    /** Adds to a bias part, taken as gradients: the sum over each expert's rows of dOut; nothing without that bias. */
    void addBiasGradient(Matrix dOut, WeightPart part) {
        if (!shape.has(part)) {
            return;
        }
        try (KernelMemory.Scope scratch = kernels.memory().open()) {
            addWeightGradient(ones(scratch, (int) dOut.rows()), dOut, part);
        }
    }

    private Matrix ones(KernelMemory.Scope scratch, int rows) {
        double[] values = new double[rows];
        Arrays.fill(values, 1);
        Matrix ones = scratch.allocate(kernels.accumulation(), rows, 1);
        kernels.memory().copy(Matrix.of(values, rows, 1), ones);
        return ones;
    }

    @Override
    public void close() {
        scope.close();
    }
}
