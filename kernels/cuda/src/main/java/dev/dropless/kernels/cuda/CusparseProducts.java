package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;
import static dev.dropless.kernels.cuda.KernelArguments.addressOf;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.Operands;
import dev.dropless.topology.BlockPattern;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.driver.CUDA_MEMCPY3D;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUmemorytype;
import jcuda.driver.JCudaDriver;
import jcuda.jcusparse.JCusparse;
import jcuda.jcusparse.cusparseDirection;
import jcuda.jcusparse.cusparseDnMatDescr;
import jcuda.jcusparse.cusparseIndexBase;
import jcuda.jcusparse.cusparseIndexType;
import jcuda.jcusparse.cusparseMatDescr;
import jcuda.jcusparse.cusparseOperation;
import jcuda.jcusparse.cusparseOrder;
import jcuda.jcusparse.cusparseSpMMAlg;
import jcuda.jcusparse.cusparseSpMatDescr;

/** The one product of cuSPARSE that fits, and refusals for the others. */
final class CusparseProducts implements BlockSparseKernels, AutoCloseable {

    private final CudaKernels device;
    private final CudaMemory memory;
    private final Launcher launcher;
    private final CusparseLibrary library;
    private final DevicePattern.Cache patterns;

    CusparseProducts(CudaKernels device, CusparseLibrary library) {
        this.device = device;
        this.memory = device.memory();
        this.launcher = device.launcher();
        this.library = library;
        this.patterns = new DevicePattern.Cache(memory);
    }

    @Override
    public void dsd(BlockSparseMatrix s, Transpose ts, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        Operands.dsd(memory.space(), s, ts, b, tb, c);
        if (ts == Transpose.T) {
            throw CusparseLibrary.refusal("dsd", "with a transposed sparse operand");
        }
        BlockPattern pattern = s.pattern();
        if (!pattern.uniform()) {
            throw CusparseLibrary.refusal("dsd", "with ragged blocks");
        }
        ElementType type = s.data().type();
        if (b.type() != type || c.type() != type || type == ElementType.F64) {
            throw CusparseLibrary.refusal(
                    "dsd", "with operands of types %s, %s and %s".formatted(type, b.type(), c.type()));
        }
        if (c.rows() == 0 || c.columns() == 0) {
            return;
        }
        device.context().enter();
        synchronized (patterns) {
            if (type == ElementType.F32) {
                bsr(s, b, tb, c, accumulate);
            } else {
                blockedEll(s, b, tb, c, accumulate);
            }
        }
    }

    private static int operation(Transpose transpose) {
        return transpose == Transpose.N
                ? cusparseOperation.CUSPARSE_OPERATION_NON_TRANSPOSE
                : cusparseOperation.CUSPARSE_OPERATION_TRANSPOSE;
    }

    private static CUdeviceptr pointer(long address) {
        return new CUdeviceptr().withByteOffset(address);
    }

    private static Pointer scalar(float value) {
        return Pointer.to(new float[] {value});
    }

    /**
     * Legacy BSR. Its dense matrices are column-major: a row-major b is a transposed one, and c is computed transposed into scratch memory.
     */
    private void bsr(BlockSparseMatrix s, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        BlockPattern p = s.pattern();
        DevicePattern arrays = patterns.of(p);
        cusparseMatDescr descriptor = new cusparseMatDescr();
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            Matrix turned = scratch.allocate(ElementType.F32, c.columns(), c.rows());
            if (accumulate) {
                launcher.convertTransposed(c, turned);
            }
            CusparseLibrary.check(JCusparse.cusparseCreateMatDescr(descriptor), "describing a BSR matrix");
            try {
                CusparseLibrary.check(
                        JCusparse.cusparseSbsrmm(
                                library.handle(),
                                cusparseDirection.CUSPARSE_DIRECTION_ROW,
                                cusparseOperation.CUSPARSE_OPERATION_NON_TRANSPOSE,
                                operation(tb.flip()),
                                p.blockRows(),
                                Math.toIntExact(c.columns()),
                                p.blockColumns(),
                                p.blocks(),
                                scalar(1),
                                descriptor,
                                pointer(addressOf(s.data())),
                                pointer(arrays.firstBlock()),
                                pointer(arrays.columnOf()),
                                p.blockSize(),
                                pointer(addressOf(b)),
                                Math.toIntExact(b.rowStride()),
                                scalar(accumulate ? 1 : 0),
                                pointer(addressOf(turned)),
                                Math.toIntExact(turned.rowStride())),
                        "multiplying a BSR matrix");
            } finally {
                CusparseLibrary.check(JCusparse.cusparseDestroyMatDescr(descriptor), "forgetting a BSR matrix");
            }
            launcher.convertTransposed(turned, c);
        }
    }

    /** Blocked-ELL: block rows with equally many blocks; values as one row-major matrix [rows, blocks of a row * block size], as NVIDIA's dense2sparse_blockedell example prints them. */
    private void blockedEll(BlockSparseMatrix s, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        BlockPattern p = s.pattern();
        int perRow = p.firstBlock(1);
        for (int row = 0; row < p.blockRows(); row++) {
            if (p.firstBlock(row + 1) - p.firstBlock(row) != perRow) {
                throw CusparseLibrary.refusal(
                        "dsd",
                        "in %s with rows of different numbers of blocks"
                                .formatted(s.data().type()));
            }
        }
        if (Integer.bitCount(p.blockSize()) != 1) {
            throw CusparseLibrary.refusal(
                    "dsd",
                    "in %s with blocks of %d, no power of two"
                            .formatted(s.data().type(), p.blockSize()));
        }
        if (perRow == 0) {
            if (!accumulate) {
                launcher.clear(c);
            }
            return;
        }
        DevicePattern arrays = patterns.of(p);
        long ellColumns = (long) perRow * p.blockSize();
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            long values = scratch.take(p.elements() * s.data().type().bytes()).address();
            interleave(s, perRow, values);
            int type = s.data().type() == ElementType.BF16 ? cudaDataType.CUDA_R_16BF : cudaDataType.CUDA_R_16F;
            cusparseSpMatDescr sparse = new cusparseSpMatDescr();
            CusparseLibrary.check(
                    JCusparse.cusparseCreateBlockedEll(
                            sparse,
                            p.rows(),
                            p.columns(),
                            p.blockSize(),
                            ellColumns,
                            pointer(arrays.columnOf()),
                            pointer(values),
                            cusparseIndexType.CUSPARSE_INDEX_32I,
                            cusparseIndexBase.CUSPARSE_INDEX_BASE_ZERO,
                            type),
                    "describing a Blocked-ELL matrix");
            try {
                multiply(sparse, b, tb, c, accumulate, type, scratch);
            } finally {
                CusparseLibrary.check(
                        JCusparse.cusparseDestroySpMat(sparse.asConst()), "forgetting a Blocked-ELL matrix");
            }
        }
    }

    private void multiply(
            cusparseSpMatDescr sparse,
            Matrix b,
            Transpose tb,
            Matrix c,
            boolean accumulate,
            int type,
            CudaMemory.DeviceScope scratch) {
        cusparseDnMatDescr right = dense(b, type);
        try {
            cusparseDnMatDescr result = dense(c, type);
            try {
                int plain = cusparseOperation.CUSPARSE_OPERATION_NON_TRANSPOSE;
                int algorithm = cusparseSpMMAlg.CUSPARSE_SPMM_BLOCKED_ELL_ALG1;
                int sums = cudaDataType.CUDA_R_32F;
                Pointer alpha = scalar(1);
                Pointer beta = scalar(accumulate ? 1 : 0);
                long[] bytes = new long[1];
                CusparseLibrary.check(
                        JCusparse.cusparseSpMM_bufferSize(
                                library.handle(),
                                plain,
                                operation(tb),
                                alpha,
                                sparse.asConst(),
                                right.asConst(),
                                beta,
                                result,
                                sums,
                                algorithm,
                                bytes),
                        "asking for the workspace of a product");
                CusparseLibrary.check(
                        JCusparse.cusparseSpMM(
                                library.handle(),
                                plain,
                                operation(tb),
                                alpha,
                                sparse.asConst(),
                                right.asConst(),
                                beta,
                                result,
                                sums,
                                algorithm,
                                pointer(scratch.take(bytes[0]).address())),
                        "multiplying a Blocked-ELL matrix");
            } finally {
                CusparseLibrary.check(JCusparse.cusparseDestroyDnMat(result.asConst()), "forgetting a matrix");
            }
        } finally {
            CusparseLibrary.check(JCusparse.cusparseDestroyDnMat(right.asConst()), "forgetting a matrix");
        }
    }

    private static cusparseDnMatDescr dense(Matrix m, int type) {
        cusparseDnMatDescr descriptor = new cusparseDnMatDescr();
        CusparseLibrary.check(
                JCusparse.cusparseCreateDnMat(
                        descriptor,
                        m.rows(),
                        m.columns(),
                        m.rowStride(),
                        pointer(addressOf(m)),
                        type,
                        cusparseOrder.CUSPARSE_ORDER_ROW),
                "describing a matrix");
        return descriptor;
    }

    /** Copies blocks that lie one after the other beside each other: per block of a row one three-dimensional copy over all block rows. */
    private void interleave(BlockSparseMatrix s, int perRow, long values) {
        BlockPattern p = s.pattern();
        long width = (long) p.blockSize() * s.data().type().bytes();
        for (int j = 0; j < perRow; j++) {
            CUDA_MEMCPY3D copy = new CUDA_MEMCPY3D();
            copy.srcMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
            copy.srcDevice = pointer(addressOf(s.data()));
            copy.srcPitch = width;
            copy.srcHeight = (long) perRow * p.blockSize();
            copy.srcY = (long) j * p.blockSize();
            copy.dstMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
            copy.dstDevice = pointer(values);
            copy.dstPitch = perRow * width;
            copy.dstHeight = p.blockSize();
            copy.dstXInBytes = j * width;
            copy.WidthInBytes = width;
            copy.Height = p.blockSize();
            copy.Depth = p.blockRows();
            check(JCudaDriver.cuMemcpy3DAsync(copy, device.stream().handle()), "laying out a Blocked-ELL matrix");
        }
    }

    @Override
    public void gemm(Matrix a, Transpose ta, Matrix b, Transpose tb, Matrix c, boolean accumulate) {
        throw CusparseLibrary.refusal("gemm", null);
    }

    @Override
    public void sdd(Matrix a, Transpose ta, Matrix b, Transpose tb, BlockSparseMatrix s) {
        throw CusparseLibrary.refusal("sdd", null);
    }

    @Override
    public void dds(Matrix a, Transpose ta, BlockSparseMatrix s, Transpose ts, Matrix c, boolean accumulate) {
        throw CusparseLibrary.refusal("dds", null);
    }

    @Override
    public void multiply(BlockSparseMatrix x, BlockSparseMatrix y, BlockSparseMatrix result) {
        throw CusparseLibrary.refusal("multiply", null);
    }

    @Override
    public void toDense(BlockSparseMatrix s, Matrix dense) {
        throw CusparseLibrary.refusal("toDense", null);
    }

    @Override
    public void fromDense(Matrix dense, BlockSparseMatrix s) {
        throw CusparseLibrary.refusal("fromDense", null);
    }

    @Override
    public void close() {
        synchronized (patterns) {
            patterns.close();
        }
    }
}
