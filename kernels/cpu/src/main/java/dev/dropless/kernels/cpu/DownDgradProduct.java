package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/**
 * g = dY Down^T; on the finished tile hidden is recomputed where wanted, g is multiplied with it for the gradient of the combine weights, and the
 * activation is differentiated.
 */
final class DownDgradProduct extends RowProduct {

    private ExpertShape shape = Nothing.WEIGHTS.shape();
    private FloatActivation activation = Nothing.ACTIVATION;
    private Matrix dY = Nothing.MATRIX;
    private @Nullable Matrix combineWeights;
    private Matrix pre = Nothing.MATRIX;
    private Matrix hidden = Nothing.MATRIX;
    private boolean recomputeHidden;
    private Matrix dPre = Nothing.MATRIX;
    private Storage partialDots = Nothing.STORAGE;

    DownDgradProduct(TileKernels kernels) {
        super(kernels, true);
    }

    /**
     * Takes the operands of {@link dev.dropless.blocksparse.spi.ExpertKernels#downDgrad}.
     *
     * @param partialDots receives, for each row and panel, the sum over the panel of hidden g; or is empty. Panels are summed later in order, so
     *     that the sum does not depend on which threads computed them.
     */
    DownDgradProduct set(
            Topology topology,
            Matrix dY,
            @Nullable Matrix combineWeights,
            CpuExpertWeights experts,
            FloatActivation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            Storage partialDots) {
        set(topology, experts.down());
        this.shape = experts.shape();
        this.activation = activation;
        this.dY = dY;
        this.combineWeights = combineWeights;
        this.pre = pre;
        this.hidden = hidden;
        this.recomputeHidden = recomputeHidden;
        this.dPre = dPre;
        this.partialDots = partialDots;
        return this;
    }

    @Override
    public void clear() {
        set(
                Nothing.TOPOLOGY,
                Nothing.MATRIX,
                null,
                Nothing.WEIGHTS,
                Nothing.ACTIVATION,
                Nothing.MATRIX,
                Nothing.MATRIX,
                false,
                Nothing.MATRIX,
                Nothing.STORAGE);
    }

    @Override
    void packRow(int row, int k, int depth, int offset, Scratch scratch) {
        weights.readColumns(kernels, dY, topology.tokenOfRow(row), k, depth, scratch.rowsStorage(), offset, 0, scratch);
    }

    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        int f = panel * TileKernels.PANEL;
        int ffn = shape.ffnHiddenSize();
        int count = Math.min(TileKernels.PANEL, ffn - f);
        int first = topology.offset(expert) + row;
        int panels = panels(expert);
        TileGradient gradient = scratch.gradient(rows);
        gradient.gated = shape.gated();
        gradient.recompute = recomputeHidden;
        gradient.gOffset = offset;
        gradient.dots = partialDots;
        gradient.dotsOffset = first * panels + panel;
        gradient.dotsStride = panels;
        readTile(pre, first, rows, f, count, gradient.a, TileKernels.PANEL);
        if (shape.gated()) {
            readTile(pre, first, rows, ffn + f, count, gradient.b, TileKernels.PANEL);
        }
        if (!recomputeHidden && gradient.wantsDots()) {
            readTile(hidden, first, rows, f, count, gradient.h, TileKernels.PANEL);
        }
        float[] factors = gradient.factors.array();
        for (int i = 0; i < rows; i++) {
            factors[i] = SlotWeights.ofRow(combineWeights, topology, first + i);
        }
        kernels.differentiateTile(activation, gradient);
        if (recomputeHidden) {
            writeTile(gradient.h, 0, TileKernels.PANEL, count, hidden, first, rows, f);
        }
        writeTile(gradient.a, 0, TileKernels.PANEL, count, dPre, first, rows, f);
        if (shape.gated()) {
            writeTile(gradient.b, 0, TileKernels.PANEL, count, dPre, first, rows, ffn + f);
        }
    }
}
