package dev.dropless.blocksparse.spi;

/**
 * A way to compute: one per kind of hardware or of code. Found through {@link java.util.ServiceLoader}; see {@link
 * Backends}.
 *
 * <p>Constructors and static initialisers of a back end touch nothing optional: {@link #availability} is the only place
 * where absent hardware, drivers or
 * modules show, and it never throws.
 */
public interface KernelBackend {

    /**
     * Returns the name by which users choose this back end.
     *
     * @return a short lower-case word, for instance "cpu"
     */
    String name();

    /**
     * Returns the rank among the available back ends; the highest is the default.
     *
     * @return higher is preferred; the reference has 0
     */
    int priority();

    /**
     * Tells whether this back end can be used here; computed once, really exercised, and remembered.
     *
     * @return available, or the cause why not
     */
    Availability availability();

    /**
     * Takes the threads, the device and the memory that computing needs.
     *
     * @param options what the user chose
     * @return the kernels; the caller closes them
     * @throws IllegalStateException if it is not available, with the cause
     */
    Kernels open(BackendOptions options);
}
