/** Block-sparse matrices, their products, and the back-end SPI. */
module dev.dropless.blocksparse {
    requires transitive dev.dropless.topology;
    requires static transitive org.jspecify;

    exports dev.dropless.blocksparse;
}
