package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;

/**
 * The primary context of a device, which the CUDA runtime and cuSPARSE share. The driver keeps the current context per thread: every entry calls {@link
 * #enter}.
 */
final class DeviceContext implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger(DeviceContext.class.getName());

    private final int ordinal;
    private final DriverProbe.Device properties;
    private final CUdevice device = new CUdevice();
    private final RawContext context = new RawContext();
    private final Handles handles = new Handles();
    private final DriverExtras extras;
    private boolean closed;

    /** Makes the address readable, which foreign calls need. */
    private static final class RawContext extends CUcontext {
        long address() {
            return getNativePointer();
        }
    }

    private DeviceContext(int ordinal, DriverProbe.Device properties, DriverExtras extras) {
        this.ordinal = ordinal;
        this.properties = properties;
        this.extras = extras;
    }

    /**
     * Takes the primary context of a device.
     *
     * @param probe a probe without a cause against CUDA
     * @param library the library it asked
     * @param ordinal number of the device
     * @throws IllegalArgumentException if there is no such device, or its architecture is too old
     */
    static DeviceContext open(DriverProbe probe, String library, int ordinal) {
        if (ordinal >= probe.devices().size()) {
            throw new IllegalArgumentException(
                    "device: expected 0..%d, found %d".formatted(probe.devices().size() - 1, ordinal));
        }
        DriverProbe.Device properties = probe.devices().get(ordinal);
        if (properties.architecture() < DriverProbe.OLDEST_ARCHITECTURE) {
            throw new IllegalArgumentException("device: expected architecture sm_%d or newer, found %s"
                    .formatted(DriverProbe.OLDEST_ARCHITECTURE, properties.describe()));
        }
        DeviceContext context = new DeviceContext(ordinal, properties, new DriverExtras(library));
        context.retain();
        return context;
    }

    private void retain() {
        check(JCudaDriver.cuInit(0), "starting the driver");
        check(JCudaDriver.cuDeviceGet(device, ordinal), "opening device " + ordinal);
        check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "taking the context of device " + ordinal);
        enter();
        extras.keepFreedMemory(ordinal);
    }

    /** Makes this the context of the calling thread. */
    void enter() {
        check(JCudaDriver.cuCtxSetCurrent(context), "entering the context of device " + ordinal);
    }

    /** Number of the device. */
    int ordinal() {
        return ordinal;
    }

    /** What the device is. */
    DriverProbe.Device properties() {
        return properties;
    }

    /** What is open. */
    Handles handles() {
        return handles;
    }

    /** Functions that JCuda lacks. */
    DriverExtras extras() {
        return extras;
    }

    /** Address of the context. */
    long address() {
        return context.address();
    }

    /** Reads an attribute of the device. */
    int attribute(int attribute) {
        int[] value = new int[1];
        check(
                JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
                "reading " + CUdevice_attribute.stringFor(attribute));
        return value[0];
    }

    /** Free and total bytes of device memory. */
    long[] memory() {
        long[] free = new long[1];
        long[] total = new long[1];
        enter();
        check(JCudaDriver.cuMemGetInfo(free, total), "asking for free device memory");
        return new long[] {free[0], total[0]};
    }

    /** Closes what is still open, with a warning that counts it, and gives the context back. A second call does nothing. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        enter();
        if (handles.count() > 0) {
            LOGGER.log(System.Logger.Level.WARNING, "not closed by their users: {0}", handles.describe());
            handles.closeAll();
        }
        check(JCudaDriver.cuDevicePrimaryCtxRelease(device), "giving the context of device " + ordinal + " back");
    }
}
