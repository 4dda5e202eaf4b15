package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;

/**
 * Times work that a device does while the host goes on: the median of five samples of 20 ms, each after a pause, so that a device is neither hot from the sample before nor
 * asleep. Long runs are sampled less often, so that no row takes much more than a second.
 */
final class Timing implements AutoCloseable {

    private static final int SAMPLES = 5;
    private static final double SAMPLE_MILLISECONDS = 20;

    /** What a row may take. */
    private static final double ROW_MILLISECONDS = 1500;

    private static final int MOST_RUNS = 1000;

    private final Kernels kernels;
    private final KernelMemory.Scope scope;
    private final Matrix word;
    private final boolean quick;

    /**
     * Prepares to time.
     *
     * @param quick whether one run is enough
     */
    Timing(Kernels kernels, boolean quick) {
        this.kernels = kernels;
        this.scope = kernels.memory().open();
        this.word = scope.allocate(ElementType.F32, 1, 1);
        this.quick = quick;
    }

    /** Waits for the device: a copy to the host comes after everything queued before it. */
    void await() {
        try (Arena arena = Arena.ofConfined()) {
            kernels.memory().copy(word, Matrix.allocate(arena, ElementType.F32, 1, 1));
        }
    }

    /**
     * Times work of the back end.
     *
     * @param work what to time; queued, not waited for
     * @return median milliseconds of a run
     */
    double median(Runnable work) {
        return median(work, this::await);
    }

    /** As {@link #median(Runnable)}, with another way to wait. */
    double median(Runnable work, Runnable await) {
        double once = sample(work, await, 1);
        if (quick) {
            return once;
        }
        once = sample(work, await, 1); // without loading and compiling
        int runs = runs(SAMPLE_MILLISECONDS, once);
        int count = (int) Math.clamp(Math.round(ROW_MILLISECONDS / (runs * once + SAMPLE_MILLISECONDS)), 1, SAMPLES);
        double[] samples = new double[count];
        for (int i = 0; i < count; i++) {
            LockSupport.parkNanos((long) (SAMPLE_MILLISECONDS * 1e6));
            samples[i] = sample(work, await, runs) / runs;
        }
        Arrays.sort(samples);
        return samples[count / 2];
    }

    /** Times one run after another that loads and compiles what it needs. */
    double glance(Runnable work) {
        sample(work, this::await, 1);
        return sample(work, this::await, 1);
    }

    /** Times work that is repeated for at least so long without a pause. */
    double sustained(Runnable work, Runnable await, double milliseconds) {
        double once = sample(work, await, 1);
        double spent = 0;
        int runs = 0;
        while (spent == 0 || !quick && spent < milliseconds) {
            int next = quick ? 1 : runs(milliseconds / 8, once); // never far ahead of the device
            spent += sample(work, await, next);
            runs += next;
        }
        return spent / runs;
    }

    private static int runs(double milliseconds, double once) {
        return (int) Math.clamp((long) (milliseconds / Math.max(once, 1e-3)), 1, MOST_RUNS);
    }

    private static double sample(Runnable work, Runnable await, int runs) {
        long start = System.nanoTime();
        for (int i = 0; i < runs; i++) {
            work.run();
        }
        await.run();
        return (System.nanoTime() - start) / 1e6;
    }

    @Override
    public void close() {
        scope.close();
    }
}
