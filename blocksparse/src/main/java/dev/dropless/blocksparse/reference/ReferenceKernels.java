package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.HostMemory;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/** Hands out the stateless parts of the reference. */
final class ReferenceKernels implements Kernels {

    private final BlockSparseKernels blockSparse = new ReferenceBlockSparseKernels();
    private final ExpertKernels experts = new ReferenceExpertKernels();
    private final KernelMemory memory = new HostMemory();

    @Override
    public String name() {
        return ReferenceBackend.NAME;
    }

    @Override
    public String description() {
        return "reference: double precision, calling thread";
    }

    @Override
    public ElementType accumulation() {
        return ElementType.F64;
    }

    @Override
    public BlockSparseKernels blockSparse() {
        return blockSparse;
    }

    @Override
    public ExpertKernels experts() {
        return experts;
    }

    @Override
    public KernelMemory memory() {
        return memory;
    }

    @Override
    public TaskRunner tasks() {
        return TaskRunner.sequential();
    }

    /** Nothing to free: weights and scopes belong to who opened them. */
    @Override
    public void close() {}
}
