package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ElementwiseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;

/** Memory, stream and conversions of the CUDA back end, with cuSPARSE for the product. */
final class CusparseKernels implements Kernels {

    private final CudaKernels device;
    private final CusparseLibrary library;
    private final CusparseProducts products;

    CusparseKernels(CudaKernels device) {
        this.device = device;
        try {
            this.library = new CusparseLibrary(device.context(), device.stream());
        } catch (RuntimeException e) {
            device.close();
            throw e;
        }
        this.products = new CusparseProducts(device, library);
    }

    @Override
    public String name() {
        return CusparseBackend.NAME;
    }

    @Override
    public String description() {
        return "cuSPARSE on " + device.description();
    }

    @Override
    public ElementType accumulation() {
        return ElementType.F32;
    }

    @Override
    public BlockSparseKernels blockSparse() {
        return products;
    }

    /** Always throws: this back end has level 1 only. */
    @Override
    public ExpertKernels experts() {
        throw CusparseLibrary.refusal("expert path", null);
    }

    @Override
    public ElementwiseKernels elementwise() {
        return device.elementwise();
    }

    @Override
    public KernelMemory memory() {
        return device.memory();
    }

    @Override
    public TaskRunner tasks() {
        return device.tasks();
    }

    @Override
    public void close() {
        products.close();
        library.close();
        device.close();
    }
}
