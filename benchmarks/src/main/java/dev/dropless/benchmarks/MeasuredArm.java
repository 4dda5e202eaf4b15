package dev.dropless.benchmarks;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** State of a benchmark: an arm that has passed its check. Nothing is timed that computes something else. */
@State(Scope.Benchmark)
public abstract class MeasuredArm {

    /**
     * System property: milliseconds for which an arm runs before it is timed, the checked run and its check included. So an
     * arm whose runs take longer is warm after one.
     */
    public static final String WARM_UP = "dropless.bench.warmup";

    /** Which arm computes. */
    @Param("dropless")
    public String arm = "";

    /** Threads to compute with. */
    @Param("1")
    public int threads;

    /** The last runs' processor time; a power of two of them. */
    private final long[] cpuNanos = new long[1024];

    private final ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    private int runs;
    private Arm opened = new NotOpened();

    /** For JMH. */
    protected MeasuredArm() {}

    /**
     * Returns what to compute.
     *
     * @return the task that the parameters describe
     */
    protected abstract Task task();

    /**
     * Opens the arm, checks its result, and warms it up.
     *
     * @throws Arm.CheckFailed if the result is wrong
     */
    @Setup
    public void open() {
        try {
            Task task = task();
            opened = ArmProvider.of(arm, task).open(arm, task);
            long start = System.nanoTime();
            Notes.describe(arm, opened, opened.check());
            while (System.nanoTime() - start < Long.getLong(WARM_UP, 0) * 1_000_000) {
                opened.run();
            }
        } catch (RuntimeException e) {
            Notes.failed(arm, e);
            throw e;
        }
    }

    /**
     * Computes the task once. With one thread all arms compute in the caller's, and its processor time is noted: on a
     * machine with other work it says more than the time on the wall.
     *
     * @return what JMH shall consume
     */
    protected final Object runArm() {
        if (threads > 1) {
            return opened.run();
        }
        long start = clock.getCurrentThreadCpuTime();
        Object result = opened.run();
        cpuNanos[runs++ & (cpuNanos.length - 1)] = clock.getCurrentThreadCpuTime() - start;
        return result;
    }

    /** Closes the arm. */
    @TearDown
    public void close() {
        opened.close();
        if (runs > 0) {
            Notes.addCpuSeconds(arm, medianOfLaterHalf() / 1e9);
        }
    }

    /** The earlier half may be warm-up. */
    private double medianOfLaterHalf() {
        int count = Math.max(1, Math.min(runs, cpuNanos.length) / 2);
        long[] later = new long[count];
        for (int i = 0; i < count; i++) {
            later[i] = cpuNanos[(runs - 1 - i) & (cpuNanos.length - 1)];
        }
        Arrays.sort(later);
        return later[count / 2];
    }

    /** Before {@link #open}, and after it failed. */
    private static final class NotOpened implements Arm {
        @Override
        public Object run() {
            throw new IllegalStateException("not opened");
        }

        @Override
        public double check() {
            throw new IllegalStateException("not opened");
        }

        @Override
        public String description() {
            return "not opened";
        }

        @Override
        public double computedFlops() {
            return 0;
        }

        @Override
        public void close() {}
    }
}
