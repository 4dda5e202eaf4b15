package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.util.Collection;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

/** What the build of the kernels wrote down about launching them: {@code launch.NAME=family:experts threads:256 shared:68224 ... argumentWords:31}. */
final class KernelManifest {

    private static final String RESOURCE = "manifest.properties";
    private static final String PREFIX = "launch.";

    /**
     * How a kernel is launched.
     *
     * @param family file that holds it
     * @param threads threads of a block
     * @param sharedBytes dynamic shared memory of a block
     * @param argumentWords 64-bit words of its argument structure
     */
    record Kernel(String family, int threads, int sharedBytes, int argumentWords) {}

    private final Map<String, Kernel> kernels = new TreeMap<>();

    private KernelManifest(Properties properties) {
        for (String key : properties.stringPropertyNames()) {
            if (key.startsWith(PREFIX)) {
                kernels.put(key.substring(PREFIX.length()), parse(key, properties.getProperty(key)));
            }
        }
    }

    private static Kernel parse(String key, String value) {
        Map<String, String> fields = new TreeMap<>();
        for (String field : value.strip().split("\\s+")) {
            int colon = field.indexOf(':');
            fields.put(field.substring(0, Math.max(0, colon)), field.substring(colon + 1));
        }
        String family = fields.get("family");
        if (family == null) {
            throw new IllegalStateException("%s: %s has no family".formatted(RESOURCE, key));
        }
        return new Kernel(
                family,
                number(key, "threads", fields),
                number(key, "shared", fields),
                number(key, "argumentWords", fields));
    }

    private static int number(String key, String field, Map<String, String> fields) {
        try {
            return Integer.parseInt(String.valueOf(fields.get(field)));
        } catch (NumberFormatException e) {
            throw new IllegalStateException(
                    "%s: %s has no number %s: %s".formatted(RESOURCE, key, field, fields.get(field)), e);
        }
    }

    /** Reads the manifest that the jar carries. */
    static KernelManifest read() {
        try (InputStream stream = KernelManifest.class.getResourceAsStream(RESOURCE)) {
            if (stream == null) {
                throw new IllegalStateException("the kernels' %s is missing from the jar".formatted(RESOURCE));
            }
            Properties properties = new Properties();
            properties.load(stream);
            return new KernelManifest(properties);
        } catch (IOException e) {
            throw new IllegalStateException("the kernels' %s cannot be read from the jar".formatted(RESOURCE), e);
        }
    }

    /** Finds a kernel by its full name. */
    Kernel kernel(String name) {
        Kernel kernel = kernels.get(name);
        if (kernel == null) {
            throw new IllegalStateException("the kernels in the jar have no %s".formatted(name));
        }
        return kernel;
    }

    /** All files of kernels. */
    Collection<String> families() {
        return kernels.values().stream().map(Kernel::family).distinct().sorted().toList();
    }
}
