/** Dropless mixture-of-experts layers. */
module dev.dropless.moe {
    requires transitive dev.dropless.blocksparse;
    requires static transitive org.jspecify;

    exports dev.dropless.moe;
}
