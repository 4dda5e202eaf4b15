package dev.dropless.blocksparse.reference;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;

/**
 * Back end "reference": computes everything in double precision on the calling thread with the simplest loops, for all
 * element types. It is what other
 * back ends are judged by, and it is always available.
 */
public final class ReferenceBackend implements KernelBackend {

    static final String NAME = "reference";

    /** Creates the back end; it has no state. */
    public ReferenceBackend() {}

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return 0;
    }

    @Override
    public Availability availability() {
        return Availability.available("double precision, one thread");
    }

    @Override
    public Kernels open(BackendOptions options) {
        return new ReferenceKernels();
    }
}
