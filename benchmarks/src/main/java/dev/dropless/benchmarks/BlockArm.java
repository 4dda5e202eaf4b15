package dev.dropless.benchmarks;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;

/** A product at the block-sparse level: row-major dense matrices, blocks with exact row counts; weights and blocks lie in memory of the back end, where a layer has them. */
final class BlockArm implements Arm {

    private final ProductTask task;
    private final Kernels kernels;
    private final int blockSize;
    private final Arena arena = Arena.ofShared();
    private final KernelMemory.Scope memory;
    private final Topology topology;
    private final MoeBlockPattern pattern;
    private final BlockSparseMatrix blocks;
    /** Rows [N, H]; of DSD the result. */
    private final Matrix rows;
    /** Up-projections side by side [H, E F] (of DDS the result), or down-projections one below the other [E F, H]. */
    private final Matrix weights;

    BlockArm(ProductTask task, Kernels kernels, int blockSize) {
        this.task = task;
        this.kernels = kernels;
        this.blockSize = blockSize;
        LayerTask layer = task.layer();
        topology = layer.topology();
        int h = layer.layer().hiddenSize();
        int f = layer.layer().ffnHiddenSize();
        pattern = MoeBlockPattern.exact(topology, blockSize, f);
        memory = kernels.memory().open();
        blocks = new BlockSparseMatrix(pattern, memory.allocate(ElementType.F32, 1, pattern.elements()));
        boolean down = task.product() == ProductTask.Product.DSD;
        rows = down ? memory.allocate(ElementType.F32, topology.rows(), h) : task.newRows(topology, arena);
        long all = (long) topology.numExperts() * f;
        weights = memory.allocate(ElementType.F32, down ? all : h, down ? h : all);
        if (task.product() != ProductTask.Product.DDS) {
            load(layer, f, down);
        }
        if (task.product() != ProductTask.Product.SDD) {
            toBlocks();
        }
    }

    private void load(LayerTask layer, int f, boolean down) {
        for (int e = 0; e < topology.numExperts(); e++) {
            Matrix part = down ? weights.sliceRows((long) e * f, f) : weights.sliceColumns((long) e * f, f);
            float[] values = layer.weights(down ? WeightPart.DOWN : WeightPart.GATE, e);
            part.copyFrom(Matrix.of(values, part.rows(), part.columns()));
        }
    }

    private void toBlocks() {
        try (Arena scratch = Arena.ofConfined()) {
            Matrix hidden = task.newHidden(scratch);
            for (int b = 0; b < pattern.blocks(); b++) {
                Matrix block = blocks.block(b);
                long column = (long) (pattern.columnOf(b) % pattern.blockColumnsPerExpert()) * blockSize;
                long row = pattern.rowOffset(pattern.rowOf(b));
                block.copyFrom(hidden.slice(row, block.rows(), column, block.columns()));
            }
        }
    }

    @Override
    public Object run() {
        switch (task.product()) {
            case SDD -> kernels.blockSparse().sdd(rows, Transpose.N, weights, Transpose.N, blocks);
            case DSD -> kernels.blockSparse().dsd(blocks, Transpose.N, weights, Transpose.N, rows, false);
            case DDS -> kernels.blockSparse().dds(rows, Transpose.T, blocks, Transpose.N, weights, true);
        }
        return blocks;
    }

    @Override
    public double check() {
        switch (task.product()) {
            case SDD -> blocks.data().fill(Double.NaN);
            case DSD -> rows.fill(Double.NaN);
            case DDS -> weights.fill(0);
        }
        run();
        int f = task.layer().layer().ffnHiddenSize();
        return ProductCheck.check(
                task,
                a -> a,
                switch (task.product()) {
                    case SDD -> this::element;
                    case DSD -> (_, row, column) -> rows.get(row, column);
                    case DDS -> (expert, row, column) -> weights.get(row, (long) expert * f + column);
                });
    }

    private double element(int expert, int row, int column) {
        int inExpert = row - topology.offset(expert);
        int blockRow = pattern.firstBlockRow(expert) + inExpert / blockSize;
        Matrix block = blocks.block(pattern.firstBlock(blockRow) + column / blockSize);
        return block.get(inExpert % blockSize, column % blockSize);
    }

    @Override
    public String description() {
        return "dropless %s, blocks of %d x %d with exact row counts, packs the dense matrix at every call"
                .formatted(kernels.description(), blockSize, blockSize);
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        memory.close();
        kernels.close();
        arena.close();
    }
}
