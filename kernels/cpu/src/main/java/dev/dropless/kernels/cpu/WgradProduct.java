package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Weight gradients: dW_e += (scaled rows of inputs)^T (scaled rows of output gradients), where k runs over the rows of an expert. Experts without rows are
 * not touched.
 */
final class WgradProduct extends Product {

    /** One side of the product: rows of a matrix, by token or by row, each times its slot's weight. Those of the outputs are all one. */
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
    Form form() {
        return Form.COLUMNS;
    }

    /** The rows of the product are columns of the inputs, so that interleaving them copies short pieces. */
    @Override
    void packRows(int expert, int row, int rows, int k, int depth, Scratch scratch) {
        int height = kernels.interleavedRows();
        int groups = Math.ceilDiv(rows, height);
        float[] line = scratch.buffer(0, groups * height + TileKernels.BLOCK);
        MemorySegment source = scratch.bufferStorage(0).segment();
        MemorySegment target = scratch.rowsStorage().segment();
        int first = topology.offset(expert) + k;
        for (int r = 0; r < depth; r++) {
            Rows.read(kernels, inputs.matrix, inputs.matrixRow(first + r), row, rows, line, 0);
            if (!inputs.weights.absent()) {
                kernels.scale(rows, inputs.weights.ofRow(first + r), line, 0);
            }
            int to = r * TileKernels.BLOCK;
            int step = depth * TileKernels.BLOCK;
            kernels.copyRows(groups, TileKernels.BLOCK, source, 0, height, target, to, step);
        }
    }

    @Override
    int preparePanels(int expert, int panel, int count, int k, int depth, Scratch scratch) {
        int ready = Math.min(count, panelGroup(depth));
        scratch.packPanels(ready, depth);
        int first = topology.offset(expert) + k;
        int run = outputs.byToken ? 1 : depth; // consecutive rows of the matrix
        for (int r = 0; r < depth; r += run) {
            long row = outputs.matrixRow(first + r);
            gradients.packColumns(kernels, outputs.matrix, row, run, panel, ready, r, scratch);
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
