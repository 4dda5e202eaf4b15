package dev.dropless.blocksparse.spi;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * Finds the back ends that are present, and chooses one: the one the user names, else the available one of highest
 * priority.
 */
public final class Backends {

    /** System property that names the back end to use. */
    public static final String PROPERTY = "dropless.backend";

    private static final System.Logger LOGGER = System.getLogger(Backends.class.getName());

    private Backends() {}

    /**
     * Lists the back ends that are present, available or not.
     *
     * @return highest priority first
     */
    public static List<KernelBackend> all() {
        List<KernelBackend> found = new ArrayList<>();
        ServiceLoader.load(KernelBackend.class, Backends.class.getClassLoader()).forEach(found::add);
        found.sort(Comparator.comparingInt(KernelBackend::priority).reversed().thenComparing(KernelBackend::name));
        return List.copyOf(found);
    }

    /**
     * Finds a back end by name.
     *
     * @param name its name
     * @return the back end, available or not
     * @throws IllegalArgumentException if there is none of that name; the message lists those there are
     */
    public static KernelBackend byName(String name) {
        List<KernelBackend> all = all();
        return all.stream()
                .filter(b -> b.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("backend: expected one of %s, found \"%s\""
                        .formatted(all.stream().map(KernelBackend::name).collect(Collectors.joining(", ")), name)));
    }

    /**
     * Chooses the back end: the one that system property {@value #PROPERTY} names, else the best available one. Logs
     * one line saying what was
     * chosen and why those of higher priority were not.
     *
     * @return an available back end
     * @throws IllegalArgumentException if the property names none that is present
     * @throws IllegalStateException if the named one is not available, with its cause
     */
    public static KernelBackend choose() {
        String named = System.getProperty(PROPERTY);
        if (named != null) {
            KernelBackend backend = byName(named);
            Availability availability = backend.availability();
            if (!availability.isAvailable()) {
                throw new IllegalStateException(
                        "backend %s is not available: %s".formatted(named, availability.cause()));
            }
            log(backend, availability, List.of("named by " + PROPERTY));
            return backend;
        }
        List<String> passedOver = new ArrayList<>();
        for (KernelBackend backend : all()) {
            Availability availability = backend.availability();
            if (availability.isAvailable()) {
                log(backend, availability, passedOver);
                return backend;
            }
            passedOver.add("not " + backend.name() + ": " + availability.cause());
        }
        throw new IllegalStateException("no backend is available: " + String.join("; ", passedOver));
    }

    private static void log(KernelBackend backend, Availability availability, List<String> reasons) {
        LOGGER.log(System.Logger.Level.DEBUG, () -> {
            String found = "backend %s (%s)".formatted(backend.name(), availability.description());
            return reasons.isEmpty() ? found : found + "; " + String.join("; ", reasons);
        });
    }
}
