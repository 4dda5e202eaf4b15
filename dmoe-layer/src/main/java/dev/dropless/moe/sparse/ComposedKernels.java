package dev.dropless.moe.sparse;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/**
 * The kernels of a host back end whose expert path is replaced by {@link BlockSparseExperts}: everything the experts compute goes through the back end's
 * SDD and DSD. Everything else is the back end's own.
 */
public final class ComposedKernels implements Kernels {

    private final Kernels kernels;
    private final BlockSparseExperts experts;

    /**
     * Wraps kernels.
     *
     * @param kernels whose block-sparse products to use; closed by {@link #close}
     * @param blockSize B, height and width of a block, 1 or more
     * @param padded whether every expert's rows are rounded up to B, as MegaBlocks does; otherwise no row is padding
     * @throws IllegalArgumentException if {@code blockSize} is below 1 or the kernels do not compute in host memory
     */
    public ComposedKernels(Kernels kernels, int blockSize, boolean padded) {
        this.kernels = kernels;
        this.experts = new BlockSparseExperts(kernels, blockSize, padded);
    }

    @Override
    public String name() {
        return kernels.name();
    }

    @Override
    public String description() {
        return kernels.description() + ", experts composed of block-sparse products";
    }

    @Override
    public ElementType accumulation() {
        return kernels.accumulation();
    }

    @Override
    public BlockSparseKernels blockSparse() {
        return kernels.blockSparse();
    }

    @Override
    public ExpertKernels experts() {
        return experts;
    }

    @Override
    public KernelMemory memory() {
        return kernels.memory();
    }

    @Override
    public TaskRunner tasks() {
        return kernels.tasks();
    }

    @Override
    public void close() {
        kernels.close();
    }
}
