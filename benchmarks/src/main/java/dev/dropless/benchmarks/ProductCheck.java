package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;

/** Three rows of a product in double precision; of DDS, one column of the busiest expert. */
final class ProductCheck {

    /** Where an arm keeps its results. */
    @FunctionalInterface
    interface Found {
        /**
         * Returns an element.
         *
         * @param expert whose row or column it is
         * @param row row of [N, F] or [N, H]; of DDS row of [H, F]
         * @param column column of the same
         */
        double get(int expert, int row, int column);
    }

    private ProductCheck() {}

    /**
     * Compares.
     *
     * @param task what was to be computed
     * @param activation applied to the product by the arm
     * @param found what was computed
     * @return largest error relative to the largest magnitude of its row
     * @throws Arm.CheckFailed if it is above {@link LayerCheck#tolerance}
     */
    static double check(ProductTask task, DoubleUnaryOperator activation, Found found) {
        Topology topology = task.layer().topology();
        try (Arena arena = Arena.ofConfined()) {
            Matrix rows = task.newRows(topology, arena);
            Matrix hidden = task.newHidden(arena);
            if (task.product() == ProductTask.Product.DDS) {
                return column(task, topology, rows, hidden, found);
            }
            boolean up = task.product() == ProductTask.Product.SDD;
            double worst = 0;
            for (int row : new int[] {0, topology.rows() / 2, topology.rows() - 1}) {
                int expert = topology.expertOfRow(row);
                float[] weights = task.layer().weights(up ? WeightPart.GATE : WeightPart.DOWN, expert);
                double[] expected = Arrays.stream(
                                OperationCheck.times(LayerCheck.row(up ? rows : hidden, row), weights))
                        .map(activation)
                        .toArray();
                double[] computed = IntStream.range(0, expected.length)
                        .mapToDouble(j -> found.get(expert, row, j))
                        .toArray();
                worst = Math.max(worst, compare(task, "row " + row, computed, expected));
            }
            return worst;
        }
    }

    private static double column(ProductTask task, Topology topology, Matrix rows, Matrix hidden, Found found) {
        int expert = OperationCheck.busiest(topology);
        int f = task.layer().layer().ffnHiddenSize() / 2;
        double[] expected = new double[task.layer().layer().hiddenSize()];
        for (int r = topology.offset(expert); r < topology.offset(expert + 1); r++) {
            OperationCheck.addScaled(hidden.get(r, f), LayerCheck.row(rows, r), expected);
        }
        double[] computed = IntStream.range(0, expected.length)
                .mapToDouble(h -> found.get(expert, h, f))
                .toArray();
        return compare(task, "column %d of expert %d".formatted(f, expert), computed, expected);
    }

    private static double compare(ProductTask task, String what, double[] computed, double[] expected) {
        return LayerCheck.worstError(what, computed, expected, LayerCheck.tolerance(task.layer()));
    }
}
