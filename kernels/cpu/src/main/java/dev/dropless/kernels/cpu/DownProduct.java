package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.topology.Topology;

/** out = hidden Down + downBias. */
final class DownProduct extends RowProduct {

    private Matrix hidden = Nothing.MATRIX;
    private CpuExpertWeights experts = Nothing.WEIGHTS;
    private Matrix out = Nothing.MATRIX;

    DownProduct(TileKernels kernels) {
        super(kernels, false);
    }

    DownProduct set(Topology topology, Matrix hidden, CpuExpertWeights experts, Matrix out) {
        set(topology, experts.down());
        this.hidden = hidden;
        this.experts = experts;
        this.out = out;
        return this;
    }

    @Override
    public void clear() {
        set(Nothing.TOPOLOGY, Nothing.MATRIX, Nothing.WEIGHTS, Nothing.MATRIX);
    }

    @Override
    boolean paired() {
        return canPair(hidden);
    }

    @Override
    void packRow(int row, int k, int depth, int offset, Scratch scratch) {
        packTerms(hidden, row, k, depth, offset, scratch);
    }

    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        weights.scale(expert, panel, rows, tile, offset);
        int h = panel * TileKernels.PANEL;
        int hiddenSize = experts.shape().hiddenSize();
        int count = Math.min(TileKernels.PANEL, hiddenSize - h);
        int bias = expert * hiddenSize + h;
        addBias(experts.bias(WeightPart.DOWN_BIAS), bias, count, rows, TileKernels.PANEL, tile, offset, scratch);
        writeTile(scratch.results, offset, TileKernels.PANEL, count, out, topology.offset(expert) + row, rows, h);
    }
}
