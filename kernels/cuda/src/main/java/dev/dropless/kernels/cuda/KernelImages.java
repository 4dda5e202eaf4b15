package dev.dropless.kernels.cuda;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** The kernels of one context: every image that the jar carries for the device's architecture, loaded at once. Families for one architecture alone are missing on others. */
final class KernelImages implements AutoCloseable {

    /**
     * A kernel and how it is launched.
     *
     * @param function the kernel
     * @param properties threads, shared memory, arguments
     */
    record Kernel(DeviceFunction function, KernelManifest.Launch properties) {}

    private final KernelManifest manifest = KernelManifest.load();
    private final Map<String, Kernel> found = new ConcurrentHashMap<>();
    private final Map<String, DeviceModule> modules = new TreeMap<>();
    private final String architecture;

    /** Loads all images there are for the device. */
    KernelImages(DeviceContext context) {
        this.architecture = architectureFor(context.properties().architecture());
        for (String kernel : manifest.kernels()) {
            String family = manifest.launch(kernel).family();
            String file = file(family, architecture);
            if (manifest.images().containsKey(file)) {
                modules.computeIfAbsent(family, f -> new DeviceModule(context, file, image(file)));
            }
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

    private static String file(String family, String architecture) {
        return architecture.equals("ptx") ? family + ".ptx" : family + "." + architecture + ".cubin";
    }

    private byte[] image(String file) {
        byte[] image = manifest.image(file);
        return file.endsWith(".ptx") ? Arrays.copyOf(image, image.length + 1) : image; // text ends with a zero
    }

    /**
     * Finds a kernel.
     *
     * @param name its name without the prefix that all have, for instance "up_bf16"
     */
    Kernel find(String name) {
        return found.computeIfAbsent(name, n -> {
            KernelManifest.Launch properties = manifest.launch("dropless_" + n);
            DeviceModule module = modules.get(properties.family());
            if (module == null) {
                throw new IllegalStateException("no kernels %s are loaded".formatted(properties.family()));
            }
            return new Kernel(module.function("dropless_" + n), properties);
        });
    }

    /** Whether kernels of a family are loaded. */
    boolean has(String family) {
        return modules.containsKey(family);
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
