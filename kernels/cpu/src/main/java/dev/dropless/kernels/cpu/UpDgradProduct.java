package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;

/** dRows = dPre W^T, where k runs over packed columns: gate and up in turn. */
final class UpDgradProduct extends RowProduct {

    private Matrix dPre = Nothing.MATRIX;
    private Matrix dRows = Nothing.MATRIX;

    UpDgradProduct(TileKernels kernels) {
        super(kernels, true);
    }

    UpDgradProduct set(Topology topology, Matrix dPre, CpuExpertWeights experts, Matrix dRows) {
        set(topology, experts.up());
        this.dPre = dPre;
        this.dRows = dRows;
        return this;
    }

    @Override
    public void clear() {
        set(Nothing.TOPOLOGY, Nothing.MATRIX, Nothing.WEIGHTS, Nothing.MATRIX);
    }

    /** The rows of an expert follow each other. */
    @Override
    void packRows(int expert, int row, int rows, int k, int depth, Scratch scratch) {
        int first = topology.offset(expert) + row;
        int stride = TileKernels.ROW_STRIDE;
        Storage target = scratch.rowsStorage();
        if (!weights.readRows(kernels, dPre, first, rows, k, depth, target, scratch.rowsOffset, stride)) {
            super.packRows(expert, row, rows, k, depth, scratch);
        }
    }

    @Override
    void packRow(int row, int k, int depth, int offset, Scratch scratch) {
        weights.readColumns(kernels, dPre, row, k, depth, scratch.rowsStorage(), offset, 0, scratch);
    }

    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        int h = panel * TileKernels.PANEL;
        int count = Math.min(TileKernels.PANEL, weights.inputs() - h);
        writeTile(scratch.results, offset, TileKernels.PANEL, count, dRows, topology.offset(expert) + row, rows, h);
    }
}
