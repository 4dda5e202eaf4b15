package dev.dropless.kernels.tornado.sdk;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.EngineProvider;
import java.util.Locale;

/** Looks for TornadoVM before anything of it is touched: its classes may be absent, or present without what they need. */
public final class TornadoEngineProvider implements EngineProvider {

    private static final String RUNTIME_OPTION = "tornado.load.runtime.implementation";
    private static final String RECOVERY_OPTION = "tornado.recover.bailout";
    private static final String HINT =
            "start with the options in $TORNADOVM_HOME/tornado-argfile, as ./dropless does where"
                    + " TORNADOVM_HOME is set";

    /** Creates the provider; it has no state. */
    public TornadoEngineProvider() {}

    @Override
    public Availability availability() {
        if (System.getProperty(RUNTIME_OPTION) == null) {
            return Availability.unavailable("TornadoVM's options are not set: " + HINT);
        }
        if (!System.getProperty(RECOVERY_OPTION, "true")
                .toLowerCase(Locale.ROOT)
                .equals("false")) {
            return Availability.unavailable(
                    "-D%s=False is not set: without it kernels that do not compile run on the host, and nobody is told"
                            .formatted(RECOVERY_OPTION));
        }
        try {
            return Availability.available(DeviceChoice.describeAll());
        } catch (LinkageError | RuntimeException e) {
            return Availability.unavailable("TornadoVM does not start (%s): %s".formatted(reason(e), HINT));
        }
    }

    /** The innermost cause, on one line. */
    private static String reason(Throwable failure) {
        Throwable cause = failure;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        String message =
                String.valueOf(cause.getMessage()).strip().lines().findFirst().orElse("");
        return cause.getClass().getSimpleName() + (message.isEmpty() ? "" : " " + message);
    }

    @Override
    public Engine open(String device) {
        return new TornadoEngine(DeviceChoice.of(device));
    }
}
