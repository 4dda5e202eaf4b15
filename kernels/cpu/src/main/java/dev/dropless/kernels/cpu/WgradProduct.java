package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Weight gradients: dW_e += (scaled rows of inputs)^T (scaled rows of output gradients), where k runs over the rows of an expert. Experts without rows are
 * not touched.
 */
final class WgradProduct extends ExpertProduct implements Pool.Reusable {

    /** Elements of the panels packed at a time: several, so that rows of the right operand are read in long pieces. */
    private static final int PACKED_ELEMENTS = 1 << 17;

    /** Panels packed at a time. */
    private static int panelGroup(int depth) {
        return Math.clamp(PACKED_ELEMENTS / (depth * TileKernels.PANEL), 1, 16);
    }

    private final TileKernels kernels;
    private final ExpertRows inputs = new ExpertRows();
    /** Unweighted. */
    private final ExpertRows outputs = new ExpertRows();

    private Topology topology = Nothing.TOPOLOGY;
    private PackedWeights gradients = Nothing.WEIGHTS.down();

    WgradProduct(TileKernels kernels) {
        this.kernels = kernels;
    }

    /** dDown += (weighted hidden)^T dY. */
    WgradProduct down(Topology plan, Matrix hidden, Matrix dY, @Nullable Matrix weights, PackedWeights target) {
        inputs.set(plan, hidden, false, weights);
        outputs.set(plan, dY, true, null);
        return into(plan, target);
    }

    /** dUp += (weighted x)^T dPre. */
    WgradProduct up(Topology plan, Matrix x, @Nullable Matrix weights, Matrix dPre, PackedWeights target) {
        inputs.set(plan, x, true, weights);
        outputs.set(plan, dPre, false, null);
        return into(plan, target);
    }

    private WgradProduct into(Topology plan, PackedWeights target) {
        topology = plan;
        gradients = target;
        return this;
    }

    @Override
    public void clear() {
        inputs.clear();
        outputs.clear();
        into(Nothing.TOPOLOGY, Nothing.WEIGHTS.down());
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
        Storage source = scratch.bufferStorage(0);
        MemorySegment target = scratch.rowsStorage().segment();
        int first = topology.offset(expert) + k;
        for (int r = 0; r < depth; r++) {
            Rows.read(kernels, inputs.matrix(), inputs.matrixRow(first + r), row, rows, source, 0);
            if (inputs.weighted()) {
                kernels.scale(rows, inputs.weight(first + r), line, 0);
            }
            int to = r * TileKernels.BLOCK;
            int step = depth * TileKernels.BLOCK;
            kernels.copyRows(groups, TileKernels.BLOCK, source.segment(), 0, height, target, to, step);
        }
    }

    @Override
    int preparePanels(int expert, int panel, int count, int k, int depth, Scratch scratch) {
        int ready = Math.min(count, panelGroup(depth));
        scratch.packPanels(ready, depth);
        int first = topology.offset(expert) + k;
        int run = outputs.byToken() ? 1 : depth; // consecutive rows of the matrix
        for (int r = 0; r < depth; r += run) {
            long row = outputs.matrixRow(first + r);
            gradients.packColumns(kernels, outputs.matrix(), row, run, panel, ready, r, scratch);
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
