package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Sums over a token's rows in rank order, and gradients of slot weights: the items are the tokens. */
abstract class TokenSums extends RangeTask {

    Topology topology = Nothing.TOPOLOGY;

    TokenSums(ProductRunner runner) {
        super(runner);
    }

    @Override
    final int items() {
        return topology.tokens();
    }

    /** y[t] (+)= sum over ranks j of weight[t,j] rows[row(t,j)]. */
    static final class OfRows extends TokenSums {
        private Matrix rows = Nothing.MATRIX;
        private @Nullable Matrix weights;
        private Matrix y = Nothing.MATRIX;
        private boolean accumulate;

        OfRows(ProductRunner runner) {
            super(runner);
        }

        OfRows set(Topology topology, Matrix rows, @Nullable Matrix weights, Matrix y, boolean accumulate) {
            this.topology = topology;
            this.rows = rows;
            this.weights = weights;
            this.y = y;
            this.accumulate = accumulate;
            return this;
        }

        @Override
        public void clear() {
            set(Nothing.TOPOLOGY, Nothing.MATRIX, null, Nothing.MATRIX, false);
        }

        @Override
        void compute(int from, int to, Scratch scratch) {
            int columns = Math.toIntExact(y.columns());
            float[] sum = scratch.buffer(0, columns);
            float[] row = scratch.buffer(1, columns);
            for (int t = from; t < to; t++) {
                if (accumulate) {
                    Rows.read(kernels, y, t, 0, columns, scratch.bufferStorage(0), 0);
                } else {
                    Arrays.fill(sum, 0, columns, 0f);
                }
                for (int slot = t * topology.topK(); slot < (t + 1) * topology.topK(); slot++) {
                    int source = topology.rowOfSlot(slot);
                    if (source != Topology.UNASSIGNED) {
                        Rows.read(kernels, rows, source, 0, columns, scratch.bufferStorage(1), 0);
                        kernels.axpy(columns, SlotWeights.ofSlot(weights, topology, slot), row, 0, sum, 0);
                    }
                }
                Rows.write(kernels, scratch.bufferStorage(0), 0, columns, y, t, 0);
            }
        }
    }

    /** A number for each slot, 0 for unassigned ones. */
    private abstract static class PerSlot extends TokenSums {
        private Matrix gradient = Nothing.MATRIX;

        PerSlot(ProductRunner runner) {
            super(runner);
        }

        final void set(Topology slots, Matrix target) {
            topology = slots;
            gradient = target;
        }

        @Override
        final void compute(int from, int to, Scratch scratch) {
            for (int t = from; t < to; t++) {
                begin(t, scratch);
                for (int j = 0; j < topology.topK(); j++) {
                    int row = topology.rowOfSlot(t * topology.topK() + j);
                    gradient.set(t, j, row == Topology.UNASSIGNED ? 0 : ofRow(row, scratch));
                }
            }
        }

        /** Reads what the slots of a token have in common. */
        abstract void begin(int token, Scratch scratch);

        abstract float ofRow(int row, Scratch scratch);
    }

    /** gradient[s] = sum over panels of dots[row][panel] + downBias dY[t]. */
    static final class CombineWeightGradients extends PerSlot {
        private Storage dots = Nothing.STORAGE;
        private int panels;
        private @Nullable Storage bias;
        private Matrix dY = Nothing.MATRIX;

        CombineWeightGradients(ProductRunner runner) {
            super(runner);
        }

        CombineWeightGradients set(
                Topology topology, Storage dots, int panels, @Nullable Storage bias, Matrix dY, Matrix gradient) {
            set(topology, gradient);
            this.dots = dots;
            this.panels = panels;
            this.bias = bias;
            this.dY = dY;
            return this;
        }

        @Override
        public void clear() {
            set(Nothing.TOPOLOGY, Nothing.STORAGE, 0, null, Nothing.MATRIX, Nothing.MATRIX);
        }

        private int width() {
            return Math.toIntExact(dY.columns());
        }

        @Override
        void begin(int token, Scratch scratch) {
            if (bias != null) {
                scratch.buffer(0, width());
                Rows.read(kernels, dY, token, 0, width(), scratch.bufferStorage(0), 0);
            }
        }

        @Override
        float ofRow(int row, Scratch scratch) {
            float sum = 0;
            float[] partial = dots.array();
            for (int p = 0; p < panels; p++) {
                sum += partial[row * panels + p];
            }
            if (bias != null) {
                int h = width();
                float[] biasRow = scratch.buffer(1, h);
                bias.read(topology.expertOfRow(row) * h, h, biasRow, 0);
                sum += kernels.dot(h, biasRow, 0, scratch.buffer(0, h), 0, scratch.lanes);
            }
            return sum;
        }
    }

    /** gradient[s] = x[t] dRows[row]. */
    static final class InputWeightGradients extends PerSlot {
        private Matrix x = Nothing.MATRIX;
        private Matrix dRows = Nothing.MATRIX;

        InputWeightGradients(ProductRunner runner) {
            super(runner);
        }

        InputWeightGradients set(Topology topology, Matrix x, Matrix dRows, Matrix gradient) {
            set(topology, gradient);
            this.x = x;
            this.dRows = dRows;
            return this;
        }

        @Override
        public void clear() {
            set(Nothing.TOPOLOGY, Nothing.MATRIX, Nothing.MATRIX, Nothing.MATRIX);
        }

        private int width() {
            return Math.toIntExact(x.columns());
        }

        @Override
        void begin(int token, Scratch scratch) {
            scratch.buffer(0, width());
            Rows.read(kernels, x, token, 0, width(), scratch.bufferStorage(0), 0);
        }

        @Override
        float ofRow(int row, Scratch scratch) {
            int h = width();
            float[] dRow = scratch.buffer(1, h);
            Rows.read(kernels, dRows, row, 0, h, scratch.bufferStorage(1), 0);
            return kernels.dot(h, scratch.buffer(0, h), 0, dRow, 0, scratch.lanes);
        }
    }
}
