package dev.dropless.kernels.tornado.sdk;

import dev.dropless.kernels.tornado.engine.Kernel;
import java.util.ArrayList;
import java.util.List;

/** The task graphs of a plan, in the order of their numbers: one that puts the arrays on the device, six that copy staged data, then one for each kernel. */
enum GraphKey {
    SETTLE,
    SMALL_FLOATS,
    LARGE_FLOATS,
    SMALL_INTS,
    LARGE_INTS,
    SMALL_HALVES,
    LARGE_HALVES;

    /** Number of a kernel's graph. */
    static int of(Kernel kernel) {
        return values().length + kernel.ordinal();
    }

    /** Names of all graphs. */
    static List<String> names() {
        List<String> names = new ArrayList<>();
        for (GraphKey key : values()) {
            names.add(name(key.name()));
        }
        for (Kernel kernel : Kernel.values()) {
            names.add(name(kernel.name()));
        }
        return names;
    }

    private static String name(String constant) {
        return "dropless_" + constant.toLowerCase(java.util.Locale.ROOT);
    }
}
