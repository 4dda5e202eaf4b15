package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;

/**
 * Back end "cpu": all processors, single precision with single-precision sums, any element type but F64 for weights.
 *
 * <p>There are three tiers, which give the same results bit for bit. The best one multiplies with machine code written at run time, on Linux on x86-64 with
 * AVX2, where native access is enabled ({@code --enable-native-access=ALL-UNNAMED}, or {@code =dev.dropless.kernels.cpu} on the module path). The next one
 * takes the Vector API, where the module {@code jdk.incubator.vector} is resolved ({@code --add-modules jdk.incubator.vector}); the first one takes it
 * too, for everything but products, so that both options belong together. The last one is plain Java, many times slower. What keeps a better tier from
 * being used is said in a warning. The system property {@code dropless.cpu.tier}, "emitted", "vector" or "scalar", forces one of them; {@link #open} fails
 * where that is not possible.
 */
public final class CpuBackend implements KernelBackend {

    static final String NAME = "cpu";

    /** Creates the back end; it has no state. */
    public CpuBackend() {}

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return 50;
    }

    /** Always available: plain Java is. A tier forced in vain shows when it is opened, so that no other back end takes over unnoticed. */
    @Override
    public Availability availability() {
        return Availability.available(CpuTier.best().word());
    }

    /**
     * Chooses the tier and starts the threads.
     *
     * @param options number of threads
     * @return the kernels
     * @throws IllegalArgumentException if the property {@code dropless.cpu.tier} names no tier
     * @throws IllegalStateException if the tier it names cannot be used here, with the cause
     */
    @Override
    public Kernels open(BackendOptions options) {
        return new CpuKernels(CpuTier.select(System.getProperty(CpuTier.PROPERTY)), options.threads());
    }
}
