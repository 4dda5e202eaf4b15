/** The CUDA back end: kernels for NVIDIA GPUs, compiled ahead of time and carried as resources. */
module dev.dropless.kernels.cuda {
    requires transitive dev.dropless.blocksparse;
    requires static transitive org.jspecify;

    exports dev.dropless.kernels.cuda;
}
