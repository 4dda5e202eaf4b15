package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One product of the layer by this library's kernels. */
final class ProductArm implements Arm {

    private static final int BLOCK = 128;

    private final ProductTask task;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Topology topology;
    private final ExpertPlan plan;
    /** What goes in: tokens for UP, rows otherwise. */
    private final Matrix in;
    /** What comes out, dense; for SDD the blocks' data. */
    private final Matrix out;
    /** SDD, DSD: gate projections side by side [H, E F], down-projections one below the other [E F, H]. */
    private final @Nullable Matrix dense;

    private final @Nullable BlockSparseMatrix sparse;
    private final @Nullable ExpertWeights weights;

    ProductArm(ProductTask task, Kernels kernels) {
        this.task = task;
        this.kernels = kernels;
        LayerTask layer = task.layer();
        int h = layer.layer().hiddenSize();
        int f = layer.layer().ffnHiddenSize();
        topology = layer.topology();
        plan = kernels.experts().plan(topology);
        boolean fused = task.product() == ProductTask.Product.UP || task.product() == ProductTask.Product.DOWN;
        boolean up = task.product() == ProductTask.Product.UP || task.product() == ProductTask.Product.SDD;
        weights = fused ? packed(layer) : null;
        dense = fused ? null : dense(layer, up, h, f);
        sparse = fused
                ? null
                : BlockSparseMatrix.allocate(arena, MoeBlockPattern.exact(topology, BLOCK, f), ElementType.F32);
        in = input(layer, h, f);
        int columns = up ? f : h;
        out = task.product() == ProductTask.Product.SDD && sparse != null
                ? Matrix.of(
                        sparse.data().segment(),
                        ElementType.F32,
                        1,
                        sparse.data().columns())
                : Matrix.allocate(arena, layer.type(), topology.rows(), columns);
        if (task.product() == ProductTask.Product.DSD && sparse != null) {
            toBlocks(in, sparse);
        }
    }

    private ExpertWeights packed(LayerTask layer) {
        ExpertWeights packed = kernels.experts().allocate(layer.layer().experts(), layer.type());
        for (WeightPart part : List.of(WeightPart.GATE, WeightPart.UP, WeightPart.DOWN)) {
            for (int e = 0; packed.shape().has(part) && e < topology.numExperts(); e++) {
                Matrix values = Matrix.of(
                        layer.weights(part, e),
                        packed.shape().rows(part),
                        packed.shape().columns(part));
                packed.load(part, e, values, Transpose.N);
            }
        }
        return packed;
    }

    private Matrix dense(LayerTask layer, boolean up, int h, int f) {
        int experts = topology.numExperts();
        Matrix all = up
                ? Matrix.allocate(arena, ElementType.F32, h, (long) experts * f)
                : Matrix.allocate(arena, ElementType.F32, (long) experts * f, h);
        for (int e = 0; e < experts; e++) {
            Matrix part = up ? all.sliceColumns((long) e * f, f) : all.sliceRows((long) e * f, f);
            float[] values = layer.weights(up ? WeightPart.GATE : WeightPart.DOWN, e);
            part.copyFrom(Matrix.of(values, part.rows(), part.columns()));
        }
        return all;
    }

    private Matrix input(LayerTask layer, int h, int f) {
        return switch (task.product()) {
            case UP -> layer.newInput(arena);
            case SDD -> {
                Matrix x = layer.newInput(arena);
                Matrix rows = Matrix.allocate(arena, ElementType.F32, topology.rows(), h);
                for (int r = 0; r < topology.rows(); r++) {
                    rows.sliceRows(r, 1).copyFrom(x.sliceRows(topology.tokenOfRow(r), 1));
                }
                yield rows;
            }
            case DSD, DOWN -> Values.fill(5, 1, Matrix.allocate(arena, layer.type(), topology.rows(), f));
        };
    }

    private void toBlocks(Matrix rows, BlockSparseMatrix target) {
        MoeBlockPattern pattern = (MoeBlockPattern) target.pattern();
        for (int b = 0; b < pattern.blocks(); b++) {
            Matrix block = target.block(b);
            long column = (long) (pattern.columnOf(b) % pattern.blockColumnsPerExpert()) * BLOCK;
            block.copyFrom(rows.slice(pattern.rowOffset(pattern.rowOf(b)), block.rows(), column, block.columns()));
        }
    }

    @Override
    public Object run() {
        if (weights != null) {
            if (task.product() == ProductTask.Product.UP) {
                kernels.experts()
                        .up(plan, in, null, weights, task.layer().layer().activation(), null, out);
            } else {
                kernels.experts().down(plan, in, weights, out);
            }
        } else if (dense != null && sparse != null) {
            if (task.product() == ProductTask.Product.SDD) {
                kernels.blockSparse().sdd(in, Transpose.N, dense, Transpose.N, sparse);
            } else {
                kernels.blockSparse().dsd(sparse, Transpose.N, dense, Transpose.N, out, false);
            }
        }
        return out;
    }

    @Override
    public double check() {
        out.fill(Double.NaN);
        run();
        double tolerance = task.layer().type() == ElementType.BF16 ? 2e-2 : 1e-5;
        double worst = 0;
        for (int row : new int[] {0, topology.rows() / 2, topology.rows() - 1}) {
            double[] expected = expected(row);
            double[] found = new double[expected.length];
            for (int j = 0; j < found.length; j++) {
                found[j] = found(row, j);
            }
            worst = Math.max(worst, LayerCheck.worstError("row " + row, found, expected, tolerance));
        }
        return worst;
    }

    private double found(int row, int column) {
        if (task.product() != ProductTask.Product.SDD || sparse == null) {
            return out.get(row, column);
        }
        MoeBlockPattern pattern = (MoeBlockPattern) sparse.pattern();
        int expert = topology.expertOfRow(row);
        int inExpert = row - topology.offset(expert);
        int blockRow = pattern.firstBlockRow(expert) + inExpert / BLOCK;
        Matrix block = sparse.block(pattern.firstBlock(blockRow) + column / BLOCK);
        return block.get(inExpert % BLOCK, column % BLOCK);
    }

    private double[] expected(int row) {
        LayerTask layer = task.layer();
        int expert = topology.expertOfRow(row);
        int input = task.product() == ProductTask.Product.UP ? topology.tokenOfRow(row) : row;
        if (task.product() == ProductTask.Product.DSD || task.product() == ProductTask.Product.DOWN) {
            return product(input, layer.weights(WeightPart.DOWN, expert));
        }
        double[] a = product(input, layer.weights(WeightPart.GATE, expert));
        if (task.product() == ProductTask.Product.UP) {
            boolean gated = layer.layer().gated();
            double[] b = gated ? product(input, layer.weights(WeightPart.UP, expert)) : a;
            for (int j = 0; j < a.length; j++) {
                a[j] = gated
                        ? ActivationMath.hidden(layer.layer().activation(), a[j], b[j])
                        : ActivationMath.hidden(layer.layer().activation(), a[j]);
            }
        }
        return a;
    }

    private double[] product(int row, float[] matrix) {
        int columns = (int) (matrix.length / in.columns());
        double[] sums = new double[columns];
        for (int p = 0; p < in.columns(); p++) {
            double factor = in.get(row, p);
            for (int j = 0; j < columns; j++) {
                sums[j] += factor * matrix[p * columns + j];
            }
        }
        return sums;
    }

    @Override
    public String description() {
        return "dropless " + kernels.description();
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        if (weights != null) {
            weights.close();
        }
        plan.close();
        kernels.close();
        arena.close();
    }
}
