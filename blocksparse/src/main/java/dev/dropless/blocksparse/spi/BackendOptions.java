package dev.dropless.blocksparse.spi;

/**
 * What a user may choose when opening a back end.
 *
 * @param threads number of host threads to compute with, 1 or more; results do not depend on it
 * @param device number of the device, 0 for the first; host back ends ignore it
 */
public record BackendOptions(int threads, int device) {

    /**
     * Checks the numbers.
     *
     * @throws IllegalArgumentException if one is out of range
     */
    public BackendOptions {
        if (threads < 1) {
            throw new IllegalArgumentException("threads: expected at least 1, found " + threads);
        }
        if (device < 0) {
            throw new IllegalArgumentException("device: expected at least 0, found " + device);
        }
    }

    /**
     * All processors of this machine, first device.
     *
     * @return the options
     */
    public static BackendOptions defaults() {
        return new BackendOptions(Runtime.getRuntime().availableProcessors(), 0);
    }

    /**
     * A number of threads, first device.
     *
     * @param threads 1 or more
     * @return the options
     */
    public static BackendOptions threads(int threads) {
        return new BackendOptions(threads, 0);
    }
}
