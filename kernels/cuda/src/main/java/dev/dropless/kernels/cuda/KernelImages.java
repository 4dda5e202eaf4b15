package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The kernels of one context: every image that the jar carries for the device's architecture, loaded at once. */
final class KernelImages implements AutoCloseable {

    /** File of kernels by operation, without the type that ends most kernels' names. */
    private static final Map<String, String> FILES = Map.ofEntries(
            Map.entry("up", "experts"),
            Map.entry("down", "experts"),
            Map.entry("down_dgrad", "experts"),
            Map.entry("up_dgrad", "experts"),
            Map.entry("up_wgrad", "weight_gradients"),
            Map.entry("down_wgrad", "weight_gradients"),
            Map.entry("bias_grad", "weight_gradients"),
            Map.entry("combine", "combine"),
            Map.entry("slot_dot", "combine"),
            Map.entry("convert", "convert"),
            Map.entry("matmul", "block_sparse"),
            Map.entry("block_multiply", "block_sparse"),
            Map.entry("blocks_to_dense", "block_sparse"),
            Map.entry("blocks_from_dense", "block_sparse"),
            Map.entry("fill_zero", "block_sparse"));

    private final Map<String, DeviceModule> modules = new TreeMap<>();
    private final String architecture;

    /** Loads all images. */
    KernelImages(DeviceContext context) {
        this.architecture = architectureFor(context.properties().architecture());
        for (String file : FILES.values().stream().distinct().sorted().toList()) {
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
     * @param operation its operation, for instance "up"
     * @param variant what follows the operation in its name, "" or for instance "_bf16"
     */
    DeviceFunction find(String operation, String variant) {
        String file = FILES.get(operation);
        DeviceModule module = file == null ? null : modules.get(file);
        if (module == null) {
            throw new IllegalArgumentException("operation: expected one of %s, found %s".formatted(FILES.keySet(), operation));
        }
        return module.function("dropless_" + operation + variant);
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

    /** Names of the files, for tests. */
    static List<String> files() {
        return FILES.values().stream().distinct().sorted().toList();
    }
}
