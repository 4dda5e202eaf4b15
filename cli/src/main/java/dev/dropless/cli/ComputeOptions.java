package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options that say what computes. */
final class ComputeOptions {

    /** The back end that judges the others. */
    static final String REFERENCE = "reference";

    @Option(names = "--backend", paramLabel = "NAME", description = "back end (default: the best available)")
    @Nullable
    String backend;

    @Option(names = "--threads", paramLabel = "N", description = "host threads (default: all processors)")
    @Nullable
    Integer threads;

    /** Opens the back end that was named, else the best available. */
    Kernels open() {
        return open(backend);
    }

    /** Opens a back end by name, or the best available for null. */
    Kernels open(@Nullable String name) {
        BackendOptions options = threads == null ? BackendOptions.defaults() : BackendOptions.threads(threads);
        return choose(name).open(options);
    }

    /** Finds an available back end by name, or the best for null. */
    static KernelBackend choose(@Nullable String name) {
        if (name == null) {
            try {
                return Backends.choose();
            } catch (IllegalStateException e) {
                throw BadInput.because(e);
            }
        }
        KernelBackend backend = Backends.byName(name);
        Availability availability = backend.availability();
        if (!availability.isAvailable()) {
            throw new BadInput(
                    "backend %s: expected an available one, found: %s".formatted(name, availability.cause()));
        }
        return backend;
    }
}
