/** The CPU back end, found through {@link java.util.ServiceLoader}. */
module dev.dropless.kernels.cpu {
    requires dev.dropless.blocksparse;
    requires dev.dropless.topology;
    requires static jdk.incubator.vector;
    requires static transitive org.jspecify;

    exports dev.dropless.kernels.cpu;

    provides dev.dropless.blocksparse.spi.KernelBackend with
            dev.dropless.kernels.cpu.CpuBackend;
}
