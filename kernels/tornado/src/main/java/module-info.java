/** The TornadoVM back end without TornadoVM's classes, found through {@link java.util.ServiceLoader}. */
module dev.dropless.kernels.tornado {
    requires transitive dev.dropless.blocksparse;
    requires dev.dropless.topology;
    requires static transitive org.jspecify;

    exports dev.dropless.kernels.tornado;
    exports dev.dropless.kernels.tornado.engine;

    uses dev.dropless.kernels.tornado.engine.EngineProvider;

    provides dev.dropless.blocksparse.spi.KernelBackend with
            dev.dropless.kernels.tornado.TornadoBackend;
}
