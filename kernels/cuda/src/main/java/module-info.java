/** The CUDA back ends, found through {@link java.util.ServiceLoader}. */
module dev.dropless.kernels.cuda {
    requires transitive dev.dropless.blocksparse;
    requires dev.dropless.topology;
    requires jcuda;
    requires jcusparse;
    requires static transitive org.jspecify;

    exports dev.dropless.kernels.cuda;

    provides dev.dropless.blocksparse.spi.KernelBackend with
            dev.dropless.kernels.cuda.CudaBackend,
            dev.dropless.kernels.cuda.CusparseBackend;
}
