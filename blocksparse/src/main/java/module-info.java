/** Block-sparse matrices, their products, and the back-end SPI. */
module dev.dropless.blocksparse {
    requires transitive dev.dropless.topology;
    requires static transitive org.jspecify;

    exports dev.dropless.blocksparse;
    exports dev.dropless.blocksparse.reference;
    exports dev.dropless.blocksparse.spi;

    uses dev.dropless.blocksparse.spi.KernelBackend;

    provides dev.dropless.blocksparse.spi.KernelBackend with
            dev.dropless.blocksparse.reference.ReferenceBackend;
}
