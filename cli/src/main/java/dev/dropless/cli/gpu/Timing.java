package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.Arena;
import java.util.Arrays;

/** Times work that a device does while the host goes on. */
final class Timing {

    private static final int SAMPLES = 5;

    private Timing() {}

    /** Waits for the device: a copy to the host comes after everything queued before it. */
    static void await(Kernels kernels, KernelMemory.Scope scope) {
        Matrix word = scope.allocate(ElementType.F32, 1, 1);
        try (Arena arena = Arena.ofConfined()) {
            kernels.memory().copy(word, Matrix.allocate(arena, ElementType.F32, 1, 1));
        }
    }

    /**
     * Runs work in five samples of several runs each.
     *
     * @param work what to time; queued, not waited for
     * @param await waits for it
     * @param sampleMilliseconds how long a sample should be
     * @return median milliseconds of a run
     */
    static double median(Runnable work, Runnable await, double sampleMilliseconds) {
        work.run();
        await.run();
        double once = sample(work, await, 1);
        int runs = (int) Math.max(1, Math.min(1000, sampleMilliseconds / Math.max(once, 1e-3)));
        double[] samples = new double[SAMPLES];
        for (int i = 0; i < SAMPLES; i++) {
            samples[i] = sample(work, await, runs) / runs;
        }
        Arrays.sort(samples);
        return samples[SAMPLES / 2];
    }

    private static double sample(Runnable work, Runnable await, int runs) {
        long start = System.nanoTime();
        for (int i = 0; i < runs; i++) {
            work.run();
        }
        await.run();
        return (System.nanoTime() - start) / 1e6;
    }
}
