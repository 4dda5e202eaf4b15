package dev.dropless.kernels.cuda;

import org.jspecify.annotations.Nullable;

/**
 * How a back end is opened.
 *
 * @param engine the engine that must compute products; null for the best one
 * @param tuning how Hopper kernels are launched
 * @param overlaps whether kernels that wait for earlier ones themselves may start while those end (programmatic dependent launch)
 */
record CudaSettings(@Nullable CudaEngine engine, HopperTuning tuning, boolean overlaps) {

    /** Whether launches overlap, for back ends that are opened from now on: "on", as where it is not set, or "off". */
    static final String OVERLAP_PROPERTY = "dropless.cuda.pdl";

    /** What the system properties ask for. */
    static CudaSettings ofProperties() {
        return new CudaSettings(
                CudaEngine.asked(System.getProperty(CudaEngine.PROPERTY)),
                HopperTuning.load(System.getProperty(HopperTuning.PROPERTY)),
                overlaps(System.getProperty(OVERLAP_PROPERTY)));
    }

    static boolean overlaps(@Nullable String property) {
        return switch (property) {
            case null -> true;
            case "on" -> true;
            case "off" -> false;
            default ->
                throw new IllegalArgumentException(
                        "%s: expected on or off, found \"%s\"".formatted(OVERLAP_PROPERTY, property));
        };
    }
}
