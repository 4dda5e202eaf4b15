package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One projection of all experts, [inputs, outputs] each, in panels: element (k, packed column c) of an expert lies at
 * {@code (c / PANEL * panelRows + k) * PANEL + c % PANEL} of that expert's storage. A panel is read from beginning to end by the kernels, in the order of k.
 *
 * <p>A projection of several parts (gate and up) has them side by side in every panel, PANEL / parts columns each, so that one pass computes both factors of a
 * gated expert. Columns beyond the last are zero.
 *
 * <p>Products with the transposed weights read the same panels with the weights as the left operand, one element at a time for a whole vector of rows: a
 * second copy for good would double the memory, and every optimiser step would have to keep both in step.
 */
final class PackedWeights {

    private static final int PANEL = TileKernels.PANEL;
    /**
     * Panels that begin a multiple of so many rows apart (32 KB) share sets of the second-level cache, so that rows of all of them could not be kept there: they are
     * moved apart by PANEL rows, which stay zero.
     */
    private static final int CONFLICT_ROWS = 256;

    private final int inputs;
    private final int outputs;
    private final int parts;
    private final int panels;
    /** Rows from one panel to the next. */
    private final int panelRows;

    private final Storage[] experts;
    /** Where the elements are whole numbers: what they count in. */
    private final @Nullable ColumnScales scales;

    /**
     * Allocates zero weights.
     *
     * @param outputs columns of each part
     * @param parts 1 or 2
     */
    PackedWeights(Format format, int numExperts, int inputs, int outputs, int parts, Storage.Allocator allocator) {
        this.inputs = inputs;
        this.outputs = outputs;
        this.parts = parts;
        this.panels = Math.ceilDiv(outputs, PANEL / parts);
        this.panelRows = inputs % CONFLICT_ROWS == 0 ? inputs + PANEL : inputs;
        long elements = (long) panels * panelRows * PANEL;
        if (elements > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(
                    "shape: expected at most 2^31 - 9 elements in one projection of an expert, found %d x %d"
                            .formatted(inputs, (long) outputs * parts));
        }
        experts = new Storage[numExperts];
        Arrays.setAll(experts, e -> allocator.allocate(format, (int) elements));
        scales = format == Format.INT8 ? new ColumnScales(numExperts, panels, outputs, lane()) : null;
    }

    int inputs() {
        return inputs;
    }

    int panels() {
        return panels;
    }

    Format format() {
        return experts[0].format();
    }

    /** Columns of one part in a panel. */
    int lane() {
        return PANEL / parts;
    }

    List<Storage> storage() {
        return List.of(experts);
    }

    void zero() {
        for (Storage storage : experts) {
            storage.zero();
        }
        if (scales != null) {
            scales.zero();
        }
    }

    /** Element (input, 32 panel) of an expert's storage. */
    int index(int panel, int input) {
        return (panel * panelRows + input) * PANEL;
    }

    /** Imports one part of one expert. */
    void load(int expert, int part, Matrix source, Transpose transpose) {
        if (scales != null) {
            write(expert, part, scales.quantize(expert, part, source, transpose), Transpose.N);
        } else {
            write(expert, part, source, transpose);
        }
    }

    private void write(int expert, int part, Matrix source, Transpose transpose) {
        Storage storage = experts[expert];
        int lane = lane();
        float[] row = new float[outputs];
        float[] column = new float[inputs];
        if (transpose == Transpose.N) {
            for (int k = 0; k < inputs; k++) {
                Rows.read(source, k, 0, outputs, row, 0);
                for (int p = 0; p < panels; p++) {
                    int count = Math.min(lane, outputs - p * lane);
                    storage.write(row, p * lane, count, index(p, k) + part * lane);
                }
            }
        } else {
            for (int c = 0; c < outputs; c++) {
                Rows.read(source, c, 0, inputs, column, 0);
                for (int k = 0; k < inputs; k++) {
                    storage.write(column, k, 1, index(c / lane, k) + part * lane + c % lane);
                }
            }
        }
    }

    /** Exports one part of one expert. */
    void store(int expert, int part, Matrix target, Transpose transpose) {
        if (scales != null) {
            Matrix numbers = Matrix.of(new float[inputs * outputs], inputs, outputs);
            read(expert, part, numbers, Transpose.N);
            scales.dequantize(expert, part, numbers, target, transpose);
        } else {
            read(expert, part, target, transpose);
        }
    }

    /** Multiplies a finished tile by what its columns count in, where the weights are whole numbers. */
    void scale(int expert, int panel, int rows, float[] tile, int offset) {
        if (scales != null) {
            scales.apply(expert, panel, rows, tile, offset);
        }
    }

    private void read(int expert, int part, Matrix target, Transpose transpose) {
        Storage storage = experts[expert];
        int lane = lane();
        float[] row = new float[outputs];
        float[] column = new float[inputs];
        if (transpose == Transpose.N) {
            for (int k = 0; k < inputs; k++) {
                for (int p = 0; p < panels; p++) {
                    int count = Math.min(lane, outputs - p * lane);
                    storage.read(index(p, k) + part * lane, count, row, p * lane);
                }
                Rows.write(row, 0, outputs, target, k, 0);
            }
        } else {
            for (int c = 0; c < outputs; c++) {
                for (int k = 0; k < inputs; k++) {
                    storage.read(index(c / lane, k) + part * lane + c % lane, 1, column, k);
                }
                Rows.write(column, 0, inputs, target, c, 0);
            }
        }
    }

    /** As {@link Product#preparePanels}, for rows k.. of the weights. */
    int panels(int expert, int panel, int count, int k, Scratch scratch) {
        scratch.panels = experts[expert];
        scratch.panelOffset = index(panel, k);
        scratch.panelStride = panelRows * PANEL;
        return count;
    }

    /** As {@link Product#prepareTile}: inputs 32 panel.., packed columns k.. */
    int tile(TileKernels kernels, int expert, int panel, int k, int depth, Scratch scratch) {
        Storage storage = experts[expert];
        int first = panel * PANEL;
        int height = Math.min(PANEL, inputs - first);
        if (storage.isFloats()) {
            scratch.panels = storage;
            scratch.panelOffset = index(k / PANEL, first);
            scratch.panelStride = panelRows * PANEL;
            return height;
        }
        Storage target = scratch.convertPanels(depth * PANEL);
        scratch.panelStride = PANEL * PANEL;
        for (int c = 0; c < depth; c += PANEL) {
            storage.widen(kernels, index((k + c) / PANEL, first), height, target, c * PANEL);
        }
        return height;
    }

    /** The storage of an expert if its rows of a panel are tiles without padding in single precision, else null. */
    @Nullable
    Storage tiles(int expert, int panel) {
        return experts[expert].isFloats() && (panel + 1) * lane() <= outputs ? experts[expert] : null;
    }

    /** Reads rows of a panel into a tile. */
    void readTile(int expert, int row, int rows, int panel, float[] tile, int offset) {
        experts[expert].read(index(panel, row), rows * PANEL, tile, offset);
    }

    /** Writes rows of a panel from a tile. */
    void writeTile(int expert, int row, int rows, int panel, float[] tile, int offset) {
        experts[expert].write(tile, offset, rows * PANEL, index(panel, row));
    }

    /**
     * Reads packed columns of a matrix row whose columns are those of part 0, then those of part 1.
     *
     * @param column first packed column, a multiple of PANEL
     * @param n number of packed columns, a multiple of PANEL; those that are padding become zero
     * @param target floats in an array
     * @param buffer which of the buffers of {@code scratch} may be overwritten
     */
    void readColumns(
            TileKernels kernels,
            Matrix matrix,
            long row,
            int column,
            int n,
            Storage target,
            int offset,
            int buffer,
            Scratch scratch) {
        int lane = lane();
        int first = column / parts;
        int width = n / parts;
        int present = Math.min(width, outputs - first);
        if (parts == 1) {
            Rows.read(kernels, matrix, row, first, present, target, offset);
            int start = target.base() + offset;
            Arrays.fill(target.array(), start + present, start + width, 0f);
            return;
        }
        float[] line = scratch.buffer(buffer, width);
        for (int part = 0; part < parts; part++) {
            Rows.read(kernels, matrix, row, (long) part * outputs + first, present, scratch.bufferStorage(buffer), 0);
            Arrays.fill(line, present, width, 0f);
            for (int c = 0; c < width; c += lane) {
                target.write(line, c, lane, offset + c * parts + part * lane);
            }
        }
    }

    /**
     * As {@link #readColumns} for consecutive rows of a matrix at once.
     *
     * @param stride elements from one row of the target to the next
     * @return false, with nothing done, if some of the columns are padding or the kernels do not convert them
     */
    boolean readRows(
            TileKernels kernels,
            Matrix matrix,
            long row,
            int rows,
            int column,
            int n,
            Storage target,
            int offset,
            int stride) {
        int lane = lane();
        int first = column / parts;
        int width = n / parts;
        if (first + width > outputs || !Rows.converts(kernels, matrix.type())) {
            return false;
        }
        for (int part = 0; part < parts; part++) {
            long from = matrix.index(row, (long) part * outputs + first);
            int to = offset + part * lane;
            MemorySegment segment = target.segment();
            Rows.copyPieces(
                    kernels,
                    rows,
                    width / lane,
                    lane,
                    matrix,
                    from,
                    matrix.rowStride(),
                    lane,
                    segment,
                    to,
                    stride,
                    PANEL);
        }
        return true;
    }

    /**
     * Copies packed columns of consecutive matrix rows, as in {@link #readColumns}, to the rows from {@code k} on of the {@code count} panels that
     * {@link Scratch#packPanels} has made room for.
     */
    void packColumns(
            TileKernels kernels, Matrix matrix, long row, int rows, int panel, int count, int k, Scratch scratch) {
        int lane = lane();
        if (Rows.converts(kernels, matrix.type()) && (panel + count) * lane <= outputs) {
            MemorySegment target = scratch.packed().segment();
            int stride = scratch.panelStride;
            for (int part = 0; part < parts; part++) {
                long from = matrix.index(row, (long) part * outputs + panel * lane);
                int to = k * PANEL + part * lane;
                Rows.copyPieces(
                        kernels, rows, count, lane, matrix, from, matrix.rowStride(), lane, target, to, PANEL, stride);
            }
            return;
        }
        int columns = count * PANEL;
        float[] line = scratch.buffer(1, columns);
        for (int r = 0; r < rows; r++) {
            readColumns(kernels, matrix, row + r, panel * PANEL, columns, scratch.bufferStorage(1), 0, 2, scratch);
            for (int p = 0; p < count; p++) {
                int to = p * scratch.panelStride + (k + r) * PANEL;
                scratch.packed().write(line, p * PANEL, PANEL, to);
            }
        }
    }

    /** Sets the padding columns of a tile to zero. */
    void clearPadding(int panel, int rows, float[] tile, int offset) {
        int lane = lane();
        int present = Math.min(lane, outputs - panel * lane);
        if (present < lane) {
            for (int i = 0; i < rows; i++) {
                for (int part = 0; part < parts; part++) {
                    int start = offset + i * PANEL + part * lane;
                    Arrays.fill(tile, start + present, start + lane, 0f);
                }
            }
        }
    }
}
