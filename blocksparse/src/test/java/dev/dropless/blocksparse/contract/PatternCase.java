package dev.dropless.blocksparse.contract;

import dev.dropless.topology.BcsrPattern;
import dev.dropless.topology.BlockPattern;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.util.Random;
import java.util.stream.Stream;

/** A block pattern with a name for messages. */
record PatternCase(String name, BlockPattern pattern) {

    static Stream<PatternCase> all() {
        return Stream.of(
                random(1, 17, 13, 0.3),
                random(4, 6, 5, 0.4),
                random(8, 3, 7, 0.5),
                random(16, 5, 3, 0.5),
                random(64, 2, 3, 0.5),
                random(8, 4, 4, 1),
                new PatternCase("no blocks", BcsrPattern.ofMask(3, 4, 8, new boolean[12])),
                new PatternCase("no rows", BcsrPattern.ofMask(0, 4, 8, new boolean[0])),
                moe("exact ragged B=16", false, 16, 24, 5, 0, 37, 1, 16),
                moe("exact ragged B=8, F no multiple", false, 8, 21, 9, 3, 0, 8),
                moe("exact B=1", false, 1, 3, 2, 0, 4),
                moe("exact B=128, one block per expert", false, 128, 20, 30, 7),
                moe("exact, no tokens", false, 8, 16, 0, 0, 0),
                moe("padded B=8", true, 8, 16, 5, 0, 17));
    }

    /** Each block stored with the given probability; the last one always, so that there is one. */
    static PatternCase random(int blockSize, int blockRows, int blockColumns, double density) {
        Random random = new Random(blockSize);
        boolean[] mask = new boolean[blockRows * blockColumns];
        for (int i = 0; i < mask.length; i++) {
            mask[i] = i == mask.length - 1 || random.nextDouble() < density;
        }
        return new PatternCase(
                "random B=" + blockSize + " density " + density,
                BcsrPattern.ofMask(blockRows, blockColumns, blockSize, mask));
    }

    private static PatternCase moe(String name, boolean padded, int blockSize, int ffnHiddenSize, int... loads) {
        Topology topology = sorted(loads);
        return new PatternCase(
                name,
                padded
                        ? MoeBlockPattern.padded(topology, blockSize, ffnHiddenSize)
                        : MoeBlockPattern.exact(topology, blockSize, ffnHiddenSize));
    }

    /** One slot per token, tokens in the order of their experts: row t is token t. */
    static Topology sorted(int... loads) {
        int tokens = 0;
        for (int load : loads) {
            tokens += load;
        }
        int[] ids = new int[tokens];
        int next = 0;
        for (int e = 0; e < loads.length; e++) {
            for (int i = 0; i < loads[e]; i++) {
                ids[next++] = e;
            }
        }
        return Topology.of(ids, 1, loads.length);
    }

    /** Which elements are stored. */
    boolean[][] stored() {
        boolean[][] stored = new boolean[rows()][columns()];
        forEachElement((row, column, index) -> stored[row][column] = true);
        return stored;
    }

    /** All elements, from the data [1, elements] in block order. */
    double[][] dense(double[][] data) {
        double[][] dense = new double[rows()][columns()];
        forEachElement((row, column, index) -> dense[row][column] = data[0][index]);
        return dense;
    }

    /** The data in block order, out of all elements. */
    double[][] sampled(double[][] dense) {
        double[][] data = new double[1][(int) pattern.elements()];
        forEachElement((row, column, index) -> data[0][index] = dense[row][column]);
        return data;
    }

    int rows() {
        return (int) pattern.rows();
    }

    int columns() {
        return (int) pattern.columns();
    }

    private interface ElementVisitor {
        void visit(int row, int column, int index);
    }

    private void forEachElement(ElementVisitor visitor) {
        int index = 0;
        for (int block = 0; block < pattern.blocks(); block++) {
            int row = pattern.rowOf(block);
            int column = pattern.columnOf(block);
            for (int i = 0; i < pattern.height(row); i++) {
                for (int j = 0; j < pattern.width(column); j++) {
                    int matrixRow = (int) pattern.rowOffset(row) + i;
                    visitor.visit(matrixRow, (int) pattern.columnOffset(column) + j, index++);
                }
            }
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
