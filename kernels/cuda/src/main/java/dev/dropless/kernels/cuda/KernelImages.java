package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** The kernels of one context: every image that the jar carries for the device's architecture, loaded at once. */
final class KernelImages implements AutoCloseable {

    /**
     * A kernel and how it is launched.
     *
     * @param function the kernel
     * @param properties threads, shared memory, arguments
     */
    record Kernel(DeviceFunction function, KernelManifest.Kernel properties) {}

    private final KernelManifest manifest = KernelManifest.read();
    private final Map<String, Kernel> found = new ConcurrentHashMap<>();
    private final Map<String, DeviceModule> modules = new TreeMap<>();
    private final String architecture;

    /** Loads all images. */
    KernelImages(DeviceContext context) {
        this.architecture = architectureFor(context.properties().architecture());
        for (String file : manifest.families()) {
            String resource = resource(file, architecture);
            modules.put(file, new DeviceModule(context, resource, read(resource)));
        }
    }

    /**
     * Chooses the images for a device: a cubin of its own architecture, a cubin of the same major version, else PTX, which the driver compiles.
     *
     * @param device 10 * major + minor of its compute capability
     * @return "sm_90a", "sm_80" or "ptx"
     */
    static String architectureFor(int device) {
        if (device == 90) {
            return "sm_90a";
        }
        return device >= 80 && device < 90 ? "sm_80" : "ptx";
    }

    private static String resource(String file, String architecture) {
        return architecture.equals("ptx") ? file + ".ptx" : file + "." + architecture + ".cubin";
    }

    private static byte[] read(String resource) {
        try (InputStream stream = KernelImages.class.getResourceAsStream(resource)) {
            if (stream == null) {
                throw new IllegalStateException("kernels %s are missing from the jar".formatted(resource));
            }
            byte[] image = stream.readAllBytes();
            return resource.endsWith(".ptx") ? Arrays.copyOf(image, image.length + 1) : image; // text ends with a zero
        } catch (IOException e) {
            throw new IllegalStateException("kernels %s cannot be read from the jar".formatted(resource), e);
        }
    }

    /**
     * Finds a kernel.
     *
     * @param name its name without the prefix that all have, for instance "up_bf16"
     */
    Kernel find(String name) {
        return found.computeIfAbsent(name, n -> {
            KernelManifest.Kernel properties = manifest.kernel("dropless_" + n);
            DeviceModule module = modules.get(properties.family());
            if (module == null) {
                throw new IllegalStateException("no kernels %s are loaded".formatted(properties.family()));
            }
            return new Kernel(module.function("dropless_" + n), properties);
        });
    }

    /** Which images were chosen. */
    String architecture() {
        return architecture;
    }

    /** Unloads the images. */
    @Override
    public void close() {
        modules.values().forEach(DeviceModule::close);
    }
}
