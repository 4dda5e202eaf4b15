/** The {@code ./dropless} command. */
module dev.dropless.cli {
    requires dev.dropless.moe;
    requires dev.dropless.safetensors;
    requires info.picocli;
    requires java.desktop;
    requires org.knowm.xchart;
    requires me.tongfei.progressbar;
    requires static jdk.incubator.vector;
    requires static transitive org.jspecify;

    opens dev.dropless.cli to
            info.picocli;
}
