package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;

/**
 * g = dY Down^T; on the finished tile hidden is recomputed where wanted, g is multiplied with it for the gradient of the combine weights, and the
 * activation is differentiated.
 */
final class DownDgradProduct extends RowProduct {

    /**
     * The matrices of {@link dev.dropless.blocksparse.spi.ExpertKernels#downDgrad}.
     *
     * @param partialDots receives, for each row and panel, the sum over the panel of hidden g; or an empty array. Panels are summed later in order, so
     *     that the sum does not depend on which threads computed them.
     */
    record Operands(
            Matrix dY,
            SlotWeights combineWeights,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            float[] partialDots) {}

    private final ExpertShape shape;
    private final FloatActivation activation;
    private final Operands operands;

    DownDgradProduct(
            TileKernels kernels,
            Topology topology,
            CpuExpertWeights experts,
            FloatActivation activation,
            Operands operands) {
        super(kernels, topology, experts.down(), true);
        this.shape = experts.shape();
        this.activation = activation;
        this.operands = operands;
    }

    @Override
    void packRow(int row, int k, int depth, float[] target, int offset, Scratch scratch) {
        weights.readColumns(
                kernels, operands.dY, topology.tokenOfRow(row), k, depth, target, offset, scratch.buffer(0, depth));
    }

    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        int f = panel * TileKernels.PANEL;
        int ffn = shape.ffnHiddenSize();
        int count = Math.min(TileKernels.PANEL, ffn - f);
        int first = topology.offset(expert) + row;
        int size = rows * TileKernels.PANEL;
        float[] gate = scratch.buffer(0, size);
        float[] up = scratch.buffer(1, size);
        float[] hidden = scratch.buffer(2, size);
        readTile(operands.pre, first, rows, f, count, scratch.bufferStorage(0), TileKernels.PANEL);
        if (shape.gated()) {
            readTile(operands.pre, first, rows, ffn + f, count, scratch.bufferStorage(1), TileKernels.PANEL);
        }
        boolean dots = operands.partialDots.length > 0;
        if (operands.recomputeHidden) {
            if (shape.gated()) {
                kernels.activateGated(activation, size, gate, 0, up, 0, hidden, 0);
            } else {
                kernels.activate(activation, size, gate, 0, hidden, 0);
            }
            writeTile(scratch.bufferStorage(2), 0, TileKernels.PANEL, count, operands.hidden, first, rows, f);
        } else if (dots) {
            readTile(operands.hidden, first, rows, f, count, scratch.bufferStorage(2), TileKernels.PANEL);
        }
        int panels = panels(expert);
        for (int i = 0; i < rows; i++) {
            int at = i * TileKernels.PANEL;
            if (dots) {
                operands.partialDots[(first + i) * panels + panel] =
                        kernels.dot(count, hidden, at, tile, offset + at, scratch.lanes);
            }
            if (!operands.combineWeights.absent()) {
                kernels.scale(TileKernels.PANEL, operands.combineWeights.ofRow(first + i), tile, offset + at);
            }
        }
        if (shape.gated()) {
            kernels.differentiateGated(activation, size, tile, offset, gate, 0, up, 0, hidden);
            writeTile(scratch.bufferStorage(1), 0, TileKernels.PANEL, count, operands.dPre, first, rows, ffn + f);
        } else {
            kernels.differentiate(activation, size, tile, offset, gate, 0);
        }
        writeTile(scratch.bufferStorage(0), 0, TileKernels.PANEL, count, operands.dPre, first, rows, f);
    }
}
