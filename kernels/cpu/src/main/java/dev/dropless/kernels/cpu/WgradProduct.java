package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/**
 * Weight gradients: dW_e += (scaled rows of inputs)^T (scaled rows of output gradients), where k runs over the rows of an expert. Experts without rows are
 * not touched.
 */
final class WgradProduct extends Product {

    /** Rows copied before they are written transposed, so that whole cache lines are written. */
    private static final int BATCH = TileKernels.BLOCK;

    /** One side of the product: rows of a matrix, by token or by row, each times its slot's weight. */
    record Side(Topology topology, Matrix matrix, boolean byToken, SlotWeights weights) {

        long matrixRow(int row) {
            return byToken ? topology.tokenOfRow(row) : row;
        }
    }

    private final TileKernels kernels;
    private final Topology topology;
    private final Side inputs;
    private final Side outputs;
    private final PackedWeights gradients;

    WgradProduct(TileKernels kernels, Topology topology, Side inputs, Side outputs, PackedWeights gradients) {
        this.kernels = kernels;
        this.topology = topology;
        this.inputs = inputs;
        this.outputs = outputs;
        this.gradients = gradients;
    }

    @Override
    int groups() {
        return topology.numExperts();
    }

    @Override
    int rows(int expert) {
        return topology.tokensPerExpert(expert) == 0 ? 0 : gradients.inputs();
    }

    @Override
    int panels(int expert) {
        return gradients.panels();
    }

    @Override
    int depth(int expert) {
        return topology.tokensPerExpert(expert);
    }

    @Override
    void packRows(int expert, int row, int rows, int k, int depth, Scratch scratch) {
        float[] batch = scratch.buffer(0, BATCH * rows);
        int first = topology.offset(expert) + k;
        for (int from = 0; from < depth; from += BATCH) {
            int count = Math.min(BATCH, depth - from);
            for (int r = 0; r < count; r++) {
                int source = first + from + r;
                Rows.read(kernels, inputs.matrix, inputs.matrixRow(source), row, rows, batch, r * rows);
                if (!inputs.weights.absent()) {
                    kernels.scale(rows, inputs.weights.ofRow(source), batch, r * rows);
                }
            }
            int done = 0;
            if (count == BATCH) {
                int blocks = rows / BATCH;
                int step = BATCH * TileKernels.ROW_STRIDE;
                Storage source = scratch.bufferStorage(0);
                kernels.transpose(blocks, source, 0, rows, BATCH, scratch.rows, from, TileKernels.ROW_STRIDE, step);
                done = blocks * BATCH;
            }
            for (int i = done; i < rows; i++) {
                int target = i * TileKernels.ROW_STRIDE + from;
                for (int r = 0; r < count; r++) {
                    scratch.rows[target + r] = batch[r * rows + i];
                }
            }
        }
    }

    @Override
    int preparePanels(int expert, int panel, int count, int k, int depth, Scratch scratch) {
        int ready = Math.min(count, PANEL_GROUP);
        int columns = ready * TileKernels.PANEL;
        float[] packed = scratch.packPanels(ready, depth);
        float[] line = scratch.buffer(1, columns);
        float[] buffer = scratch.buffer(2, columns);
        int first = topology.offset(expert) + k;
        for (int r = 0; r < depth; r++) {
            gradients.readColumns(
                    kernels,
                    outputs.matrix,
                    outputs.matrixRow(first + r),
                    panel * TileKernels.PANEL,
                    columns,
                    line,
                    0,
                    buffer);
            if (!outputs.weights.absent()) {
                kernels.scale(columns, outputs.weights.ofRow(first + r), line, 0);
            }
            for (int p = 0; p < ready; p++) {
                System.arraycopy(
                        line, p * TileKernels.PANEL, packed, (p * depth + r) * TileKernels.PANEL, TileKernels.PANEL);
            }
        }
        return ready;
    }

    /** Gradients in single precision, but not a panel with padding, which has to be kept zero. */
    @Override
    @Nullable
    Storage inPlace(int expert, int panel) {
        return gradients.tiles(expert, panel);
    }

    @Override
    int inPlaceOffset(int expert, int row, int panel) {
        return gradients.index(panel, row);
    }

    @Override
    void begin(int expert, int row, int rows, int panel, float[] tile, int offset) {
        gradients.readTile(expert, row, rows, panel, tile, offset);
    }

    /** Padding stays zero, also where the inputs are not finite. */
    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        gradients.clearPadding(panel, rows, tile, offset);
        gradients.writeTile(expert, row, rows, panel, tile, offset);
    }
}
