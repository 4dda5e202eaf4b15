package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Rows of every expert times that expert's weights, or times their transpose: the groups are the experts. Holds the operands of one call at a time and is used
 * again, so that a call allocates nothing.
 */
abstract class RowProduct extends ExpertProduct implements Pool.Reusable {

    final TileKernels kernels;
    private final boolean transposed;
    Topology topology = Nothing.TOPOLOGY;
    PackedWeights weights = Nothing.WEIGHTS.down();

    RowProduct(TileKernels kernels, boolean transposed) {
        this.kernels = kernels;
        this.transposed = transposed;
    }

    /** What the next call computes with, beside the operands of the subclass. */
    final void set(Topology plan, PackedWeights projection) {
        topology = plan;
        weights = projection;
    }

    @Override
    final int groups() {
        return topology.numExperts();
    }

    @Override
    final int rows(int expert) {
        return topology.tokensPerExpert(expert);
    }

    @Override
    final Form form() {
        return transposed ? Form.WEIGHTS_LEFT : Form.ROWS;
    }

    @Override
    final boolean streams() {
        return !transposed && weights.format() == Format.F32;
    }

    @Override
    final int panels(int expert) {
        return transposed ? Math.ceilDiv(weights.inputs(), TileKernels.PANEL) : weights.panels();
    }

    @Override
    final int depth(int expert) {
        return transposed ? weights.panels() * TileKernels.PANEL : paired() ? weights.inputs() / 2 : weights.inputs();
    }

    @Override
    final int preparePanels(int expert, int panel, int count, int k, int depth, Scratch scratch) {
        return weights.panels(expert, panel, count, paired() ? 2 * k : k, scratch);
    }

    @Override
    final int prepareTile(int expert, int panel, int k, int depth, Scratch scratch) {
        return weights.tile(kernels, expert, panel, k, depth, scratch);
    }

    @Override
    void packRows(int expert, int row, int rows, int k, int depth, Scratch scratch) {
        int first = topology.offset(expert) + row;
        for (int i = 0; i < rows; i++) {
            packRow(first + i, k, depth, scratch.rowsOffset + i * TileKernels.ROW_STRIDE, scratch);
        }
    }

    /** Whether rows of a matrix can be multiplied with the weights by pairs. */
    final boolean canPair(Matrix matrix) {
        return kernels.pairs()
                && matrix.type() == ElementType.BF16
                && weights.format() == Format.BF16
                && weights.inputs() % 2 == 0;
    }

    /** Copies elements, or pairs of elements, k..k+depth-1 of a row of a matrix to {@code scratch.rows}. */
    final void packTerms(Matrix matrix, long row, int k, int depth, int offset, Scratch scratch) {
        if (paired()) {
            kernels.pairTerms(depth, matrix.segment(), matrix.index(row, 2L * k), scratch.rows, offset);
        } else {
            Rows.read(kernels, matrix, row, k, depth, scratch.rowsStorage(), offset);
        }
    }

    /** Copies elements k..k+depth-1 of one row of the topology to {@code scratch.rows}. */
    abstract void packRow(int row, int k, int depth, int offset, Scratch scratch);

    /** Adds elements first.. of an expert's bias to {@code count} columns of a tile. */
    final void addBias(
            @Nullable Storage bias,
            int start,
            int count,
            int rows,
            int stride,
            float[] tile,
            int offset,
            Scratch scratch) {
        if (bias == null) {
            return;
        }
        float[] values = scratch.buffer(3, count);
        bias.read(start, count, values, 0);
        for (int i = 0; i < rows; i++) {
            kernels.axpy(count, 1, values, 0, tile, offset + i * stride);
        }
    }

    /** Reads a tile of a matrix; columns from count to stride become zero. */
    final void readTile(Matrix matrix, int row, int rows, int column, int count, Storage tile, int stride) {
        if (isWhole(count) && count == stride && Rows.converts(kernels, matrix.type())) {
            long from = matrix.index(row, column);
            Rows.copy(kernels, rows, count, matrix, from, matrix.rowStride(), tile.segment(), 0, stride);
            return;
        }
        for (int i = 0; i < rows; i++) {
            Rows.read(matrix, row + i, column, count, tile.array(), i * stride);
            Arrays.fill(tile.array(), i * stride + count, (i + 1) * stride, 0f);
        }
    }

    /** Writes {@code count} columns of a tile. */
    final void writeTile(
            Storage tile, int offset, int stride, int count, Matrix matrix, int row, int rows, int column) {
        if (isWhole(count)) {
            long to = matrix.index(row, column);
            if (matrix.type() == ElementType.F32) {
                kernels.writeRows(
                        rows, count, tile.segment(), offset, stride, matrix.segment(), to, matrix.rowStride());
                return;
            }
            if (matrix.type() != ElementType.F64 && kernels.converts(Format.F32, Format.of(matrix.type()))) {
                kernels.convertRows(
                        rows,
                        count,
                        Format.F32,
                        tile.segment(),
                        offset,
                        stride,
                        Format.of(matrix.type()),
                        matrix.segment(),
                        to,
                        matrix.rowStride());
                return;
            }
        }
        for (int i = 0; i < rows; i++) {
            Rows.write(tile.array(), offset + i * stride, count, matrix, row + i, column);
        }
    }

    private static boolean isWhole(int count) {
        return count == TileKernels.BLOCK || count == TileKernels.PANEL;
    }
}
