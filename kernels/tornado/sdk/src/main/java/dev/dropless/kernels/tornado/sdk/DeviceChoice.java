package dev.dropless.kernels.tornado.sdk;

import java.util.StringJoiner;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import uk.ac.manchester.tornado.api.TornadoBackend;
import uk.ac.manchester.tornado.api.TornadoRuntime;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.runtime.TornadoRuntimeProvider;

/** TornadoVM's devices, and the one that the user names. */
final class DeviceChoice {

    private static final Pattern NAME = Pattern.compile("(\\d{1,4}):(\\d{1,4})");

    private DeviceChoice() {}

    /**
     * Finds a device.
     *
     * @param name {@code backend:device}, or empty for TornadoVM's default
     * @throws IllegalArgumentException if there is none of that name
     */
    static TornadoDevice of(String name) {
        TornadoRuntime runtime = TornadoRuntimeProvider.getTornadoRuntime();
        if (name.isEmpty()) {
            return runtime.getDefaultDevice();
        }
        Matcher numbers = NAME.matcher(name);
        if (numbers.matches()) {
            int backend = Integer.parseInt(numbers.group(1));
            int device = Integer.parseInt(numbers.group(2));
            if (backend < runtime.getNumBackends()
                    && device < runtime.getBackend(backend).getNumDevices()) {
                return runtime.getBackend(backend).getDevice(device);
            }
        }
        throw new IllegalArgumentException(
                "dropless.tornado.device: expected backend:device, one of %s, found %s".formatted(describeAll(), name));
    }

    /** All devices with their names, on one line. */
    static String describeAll() {
        TornadoRuntime runtime = TornadoRuntimeProvider.getTornadoRuntime();
        StringJoiner all = new StringJoiner("; ");
        for (int b = 0; b < runtime.getNumBackends(); b++) {
            TornadoBackend backend = runtime.getBackend(b);
            for (int d = 0; d < backend.getNumDevices(); d++) {
                all.add("%d:%d %s".formatted(b, d, describe(backend.getDevice(d))));
            }
        }
        if (all.length() == 0) {
            throw new IllegalStateException("TornadoVM finds no device");
        }
        return all.toString();
    }

    /** Name and kind of a device. */
    static String describe(TornadoDevice device) {
        return "%s (%s)".formatted(device.getPhysicalDevice().getDeviceName().strip(), device.getTornadoVMBackend());
    }
}
