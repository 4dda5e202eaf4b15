package dev.dropless.cli.machine;

import java.util.Optional;

/** The processor's fp32 multiply-add rate as a Java program can reach it. */
public final class PeakArithmetic {

    private static final String MODULE = "jdk.incubator.vector";

    private PeakArithmetic() {}

    /**
     * A measured rate.
     *
     * @param gflops 10^9 floating-point operations per second, a multiply-add counting as two
     * @param lanes floats in a vector
     * @param threads threads that ran at once
     */
    public record Peak(double gflops, int lanes, int threads) {}

    /**
     * Measures for about half a second per call.
     *
     * @param threads threads to run at once
     * @return the rate; empty where the JVM runs without module jdk.incubator.vector
     * @throws InterruptedException if the caller is interrupted
     */
    public static Optional<Peak> measure(int threads) throws InterruptedException {
        if (ModuleLayer.boot().findModule(MODULE).isEmpty()) {
            return Optional.empty();
        }
        double flops = Measurement.onThreads(threads, t -> VectorPeak.flopsPerSecond());
        return Optional.of(new Peak(flops / 1e9, VectorPeak.lanes(), threads));
    }
}
