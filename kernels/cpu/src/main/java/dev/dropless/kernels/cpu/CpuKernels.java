package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/** One tier's kernels and a pool of threads. */
final class CpuKernels implements Kernels {

    private final TileKernels tile;
    private final CpuTaskRunner tasks;
    private final BlockSparseKernels blockSparse;
    private final ExpertKernels experts;
    private final PooledMemory memory;

    CpuKernels(TileKernels tile, int threads) {
        this.tile = tile;
        this.tasks = new CpuTaskRunner(threads);
        this.memory = new PooledMemory(tile::allocate);
        ProductRunner runner = new ProductRunner(tile, tasks, new Pool<>(pool -> new Scratch(tile)));
        this.blockSparse = new CpuBlockSparseKernels(runner);
        this.experts = new CpuExpertKernels(runner);
    }

    @Override
    public String name() {
        return CpuBackend.NAME;
    }

    @Override
    public String description() {
        int threads = tasks.parallelism();
        return "%s, %d %s".formatted(tile.description(), threads, threads == 1 ? "thread" : "threads");
    }

    @Override
    public ElementType accumulation() {
        return ElementType.F32;
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
        return tasks;
    }

    @Override
    public void close() {
        tasks.close();
        memory.close();
    }
}
