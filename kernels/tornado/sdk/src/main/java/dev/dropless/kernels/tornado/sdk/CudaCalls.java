package dev.dropless.kernels.tornado.sdk;

/** The functions of the CUDA driver that library tasks need. Every call enters the context first. */
interface CudaCalls {

    /**
     * How a kernel is started.
     *
     * @param blocks blocks of the grid
     * @param threads threads of a block
     * @param sharedBytes dynamic shared memory of a block
     * @param stream where it is queued
     */
    record Launch(int blocks, int threads, int sharedBytes, long stream) {}

    /** 10 * major + minor of the compute capability of the context's device. */
    int architecture(long context);

    /** Loads a cubin, or PTX text, and returns the module. */
    long loadModule(long context, byte[] image);

    /** Finds a kernel and allows it that much dynamic shared memory. */
    long function(long context, long module, String name, int sharedBytes);

    /** Queues a kernel whose one parameter is a structure of these words. */
    void launch(long context, long function, Launch launch, long[] words);

    /** Unloads a module. */
    void unloadModule(long context, long module);
}
