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
     * @param partialDots receives, for each row and panel, the sum over the panel of hidden g; or is empty. Panels are summed later in order, so
     *     that the sum does not depend on which threads computed them.
     */
    record Operands(
            Matrix dY,
            SlotWeights combineWeights,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            Storage partialDots) {}

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
        scratch.buffer(0, size);
        scratch.buffer(1, size);
        scratch.buffer(2, size);
        scratch.buffer(3, size);
        float[] factors = scratch.buffer(4, rows);
        Storage gate = scratch.bufferStorage(0);
        Storage up = scratch.bufferStorage(1);
        Storage hidden = scratch.bufferStorage(2);
        readTile(operands.pre, first, rows, f, count, gate, TileKernels.PANEL);
        if (shape.gated()) {
            readTile(operands.pre, first, rows, ffn + f, count, up, TileKernels.PANEL);
        }
        if (!operands.recomputeHidden && operands.partialDots.elements() > 0) {
            readTile(operands.hidden, first, rows, f, count, hidden, TileKernels.PANEL);
        }
        for (int i = 0; i < rows; i++) {
            factors[i] = operands.combineWeights.ofRow(first + i);
        }
        int panels = panels(expert);
        kernels.differentiateTile(
                activation,
                shape.gated(),
                operands.recomputeHidden,
                rows,
                scratch.results,
                offset,
                gate,
                up,
                hidden,
                scratch.bufferStorage(4),
                operands.partialDots,
                first * panels + panel,
                panels,
                scratch.bufferStorage(3));
        if (operands.recomputeHidden) {
            writeTile(hidden, 0, TileKernels.PANEL, count, operands.hidden, first, rows, f);
        }
        writeTile(gate, 0, TileKernels.PANEL, count, operands.dPre, first, rows, f);
        if (shape.gated()) {
            writeTile(up, 0, TileKernels.PANEL, count, operands.dPre, first, rows, ffn + f);
        }
    }
}
