package dev.dropless.blocksparse;

/**
 * Which memory a matrix lies in: the host's, or a device's.
 *
 * @param backend name of the back end that owns the memory; "host" for ordinary memory
 * @param device number of the device, 0 for the host
 */
public record MemorySpace(String backend, int device) {

    /** Memory that Java code can read and write. */
    public static final MemorySpace HOST = new MemorySpace("host", 0);

    /**
     * Tells whether Java code can read and write it.
     *
     * @return true for {@link #HOST}
     */
    public boolean isHost() {
        return equals(HOST);
    }
}
