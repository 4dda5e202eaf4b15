package dev.dropless.kernels.tornado;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.EngineProvider;
import java.util.Locale;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/**
 * Back end "tornado": any device of a TornadoVM installation, with kernels written in Java that compute in single precision;
 * 16-bit operands are widened on their way. It has to be built with an SDK, and started with the SDK's options; {@link
 * #availability} says which of both is missing.
 *
 * <p>Results are identical, bit for bit, from run to run on one device. All matrices of one type lie in one array of at
 * most 2^31 elements, which has a copy in the host's memory.
 */
public final class TornadoBackend implements KernelBackend {

    static final String NAME = "tornado";

    /** System property: {@code backend:device} in TornadoVM's numbering; by default the number that was asked for of backend 0. */
    static final String DEVICE_PROPERTY = "dropless.tornado.device";

    /** System property: {@code loops} or {@code tiles}; by default what suits the device. */
    static final String KERNELS_PROPERTY = "dropless.tornado.kernels";

    private static final String NOT_BUILT =
            "this program was built without TornadoVM: set TORNADOVM_HOME to a TornadoVM"
                    + " SDK and build again (docs/tornado.md)";

    /** The one result for this process, found when first asked for. */
    private static final class Remembered {
        static final Availability VALUE =
                find().map(EngineProvider::availability).orElseGet(() -> Availability.unavailable(NOT_BUILT));
    }

    /** Creates the back end; it has no state. */
    public TornadoBackend() {}

    @Override
    public String name() {
        return NAME;
    }

    /** Above the reference alone: what is a fast device in TornadoVM's eyes is for the user to say. */
    @Override
    public int priority() {
        return 5;
    }

    @Override
    public Availability availability() {
        return Remembered.VALUE;
    }

    private static Optional<EngineProvider> find() {
        try {
            return ServiceLoader.load(EngineProvider.class, TornadoBackend.class.getClassLoader())
                    .findFirst();
        } catch (ServiceConfigurationError e) {
            return Optional.empty();
        }
    }

    @Override
    public Kernels open(BackendOptions options) {
        Availability availability = availability();
        EngineProvider provider = find().orElse(null);
        if (!availability.isAvailable() || provider == null) {
            throw new IllegalStateException("backend %s is not available: %s".formatted(NAME, availability.cause()));
        }
        String device = System.getProperty(DEVICE_PROPERTY, "0:" + options.device());
        Engine engine = provider.open(device);
        return open(engine, options.device());
    }

    /** Opens the back end over an engine, which it closes. */
    static TornadoKernels open(Engine engine, int number) {
        return new TornadoKernels(new Device(engine, isTiled(engine)), number);
    }

    private static boolean isTiled(Engine engine) {
        String kernels = System.getProperty(KERNELS_PROPERTY, "").toLowerCase(Locale.ROOT);
        return switch (kernels) {
            case "tiles" -> true;
            case "loops" -> false;
            case "" -> engine.prefersTiles();
            default ->
                throw new IllegalArgumentException(
                        "%s: expected loops or tiles, found %s".formatted(KERNELS_PROPERTY, kernels));
        };
    }
}
