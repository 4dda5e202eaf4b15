/** Dropless mixture-of-experts layers. */
module dev.dropless.moe {
    requires transitive dev.dropless.blocksparse;
    requires static transitive org.jspecify;

    exports dev.dropless.moe;
    exports dev.dropless.moe.family;
    exports dev.dropless.moe.loss;
    exports dev.dropless.moe.padded;
    exports dev.dropless.moe.router;
    exports dev.dropless.moe.sparse;
}
