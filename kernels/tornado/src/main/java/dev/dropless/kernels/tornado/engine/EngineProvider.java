package dev.dropless.kernels.tornado.engine;

import dev.dropless.blocksparse.spi.Availability;

/**
 * The half of the back end that is compiled against TornadoVM's classes; found through
 * {@link java.util.ServiceLoader} where it was built.
 */
public interface EngineProvider {

    /**
     * Tells whether there is a device that runs kernels, having run one.
     *
     * @return available, or the cause why not; never throws
     */
    Availability availability();

    /**
     * Opens a device.
     *
     * @param device {@code backend:device} in TornadoVM's numbering, or empty for TornadoVM's choice
     * @return the engine; the caller closes it
     * @throws IllegalArgumentException if there is no such device
     */
    Engine open(String device);
}
