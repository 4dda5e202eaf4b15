/** Integer bookkeeping of dropless mixture-of-experts layers. */
module dev.dropless.topology {
    requires static transitive org.jspecify;

    exports dev.dropless.topology;
}
