package dev.dropless.blocksparse.spi;

import org.jspecify.annotations.Nullable;

/**
 * Whether a back end can be used, and if not, why.
 *
 * @param isAvailable true if {@link KernelBackend#open} will succeed
 * @param cause one line that says what is missing and how to get it; null when available
 * @param description one line about what was found (instruction sets, device name); may be empty
 */
public record Availability(boolean isAvailable, @Nullable String cause, String description) {

    /**
     * The back end can be used.
     *
     * @param description what was found
     * @return the value
     */
    public static Availability available(String description) {
        return new Availability(true, null, description);
    }

    /**
     * The back end cannot be used.
     *
     * @param cause what is missing, and how to get it
     * @return the value
     */
    public static Availability unavailable(String cause) {
        return new Availability(false, cause, "");
    }
}
