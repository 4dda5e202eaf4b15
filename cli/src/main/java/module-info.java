/** The {@code ./dropless} command. */
module dev.dropless.cli {
    requires dev.dropless.moe;
    requires dev.dropless.safetensors;
    requires info.picocli;
    requires me.tongfei.progressbar;
    // Pictures alone need these two; the runtime in a bundle goes without (see Pictures).
    requires static java.desktop;
    requires static org.knowm.xchart;
    requires static jdk.incubator.vector;
    requires static transitive org.jspecify;

    opens dev.dropless.cli to
            info.picocli;
}
