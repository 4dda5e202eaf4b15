package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.Int8Columns;
import java.util.Arrays;

/** What the whole numbers of {@link PackedWeights} count in: one number for each packed column of each expert, in the order of the panels. */
final class ColumnScales {

    private final float[] scales;
    private final int panels;
    private final int outputs;
    private final int lane;

    /**
     * All zero.
     *
     * @param outputs columns of a part
     * @param lane columns of a part in a panel
     */
    ColumnScales(int numExperts, int panels, int outputs, int lane) {
        this.scales = new float[Math.multiplyExact(numExperts, Math.multiplyExact(panels, TileKernels.PANEL))];
        this.panels = panels;
        this.outputs = outputs;
        this.lane = lane;
    }

    private int index(int expert, int part, int column) {
        return first(expert, column / lane) + part * lane + column % lane;
    }

    private int first(int expert, int panel) {
        return (expert * panels + panel) * TileKernels.PANEL;
    }

    /** The whole numbers [inputs, outputs] nearest to weights; their scales are remembered. */
    Matrix quantize(int expert, int part, Matrix source, Transpose transpose) {
        float[] found = new float[outputs];
        Int8Columns.scales(source, transpose, found);
        for (int c = 0; c < outputs; c++) {
            scales[index(expert, part, c)] = found[c];
        }
        int inputs = Math.toIntExact(transpose == Transpose.N ? source.rows() : source.columns());
        float[] numbers = new float[Math.multiplyExact(inputs, outputs)];
        double[] row = new double[Math.toIntExact(source.columns())];
        for (int i = 0; i < source.rows(); i++) {
            source.getRow(i, row);
            for (int j = 0; j < row.length; j++) {
                int input = transpose == Transpose.N ? i : j;
                int output = transpose == Transpose.N ? j : i;
                numbers[input * outputs + output] = Int8Columns.quantize(row[j], found[output]);
            }
        }
        return Matrix.of(numbers, inputs, outputs);
    }

    /** What whole numbers [inputs, outputs] stand for. */
    void dequantize(int expert, int part, Matrix numbers, Matrix target, Transpose transpose) {
        for (long i = 0; i < numbers.rows(); i++) {
            for (int j = 0; j < outputs; j++) {
                double value = numbers.get(i, j) * scales[index(expert, part, j)];
                if (transpose == Transpose.N) {
                    target.set(i, j, value);
                } else {
                    target.set(j, i, value);
                }
            }
        }
    }

    /** Multiplies the columns of a tile by the scales of a panel. */
    void apply(int expert, int panel, int rows, float[] tile, int offset) {
        int first = first(expert, panel);
        for (int i = 0; i < rows; i++) {
            int row = offset + i * TileKernels.PANEL;
            for (int j = 0; j < TileKernels.PANEL; j++) {
                tile[row + j] *= scales[first + j];
            }
        }
    }

    void zero() {
        Arrays.fill(scales, 0);
    }
}
