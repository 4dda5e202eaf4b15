package dev.dropless.kernels.cuda;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The two sets of kernels that compute products. */
enum CudaEngine {
    /** Tensor cores by warp (mma.sync), any device. */
    PORTABLE,
    /** Products of warpgroups fed by the copy engine: compute capability 9.0. What it does not take the portable one computes. */
    HOPPER;

    /** Names the engine for back ends that are opened from now on. */
    static final String PROPERTY = "dropless.cuda.engine";

    /** As in the property. */
    String lowerCase() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** What the property asks for; null where it is not set. */
    static @Nullable CudaEngine asked(@Nullable String property) {
        if (property == null) {
            return null;
        }
        return switch (property) {
            case "portable" -> PORTABLE;
            case "hopper" -> HOPPER;
            default ->
                throw new IllegalArgumentException(
                        "%s: expected portable or hopper, found \"%s\"".formatted(PROPERTY, property));
        };
    }

    /**
     * Chooses for a device.
     *
     * @param asked what must be chosen; null for the best
     * @param images the kernels that were loaded for the device
     * @param device what it is, for the message
     * @throws IllegalArgumentException if the device lacks what was asked for
     */
    static CudaEngine choose(@Nullable CudaEngine asked, KernelImages images, String device) {
        boolean hopper = images.has("hopper_experts") && images.has("hopper_maps");
        if (asked == HOPPER && !hopper) {
            throw new IllegalArgumentException(
                    "%s: expected a device of compute capability 9.0 for hopper, found %s, kernels %s"
                            .formatted(PROPERTY, device, images.architecture()));
        }
        return asked != null ? asked : hopper ? HOPPER : PORTABLE;
    }
}
