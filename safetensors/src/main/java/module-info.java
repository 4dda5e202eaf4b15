/** Reader and writer of safetensors files. */
module dev.dropless.safetensors {
    requires com.fasterxml.jackson.core;
    requires static transitive org.jspecify;

    exports dev.dropless.safetensors;
}
