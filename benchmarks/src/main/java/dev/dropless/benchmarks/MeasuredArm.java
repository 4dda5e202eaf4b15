package dev.dropless.benchmarks;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** State of a benchmark: an arm that has passed its check. Nothing is timed that computes something else. */
@State(Scope.Benchmark)
public abstract class MeasuredArm {

    /** Which arm computes. */
    @Param("dropless")
    public String arm = "";

    /** Threads to compute with. */
    @Param("1")
    public int threads;

    private final Samples cpuNanos = new Samples();
    private final Samples allocatedBytes = new Samples();

    /** Of this JVM: one that counts processor time and allocation. */
    private final ThreadMXBean clock = (ThreadMXBean) ManagementFactory.getThreadMXBean();

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
     * Opens the arm and checks its result.
     *
     * @throws Arm.CheckFailed if the result is wrong
     */
    @Setup
    public void open() {
        try {
            Task task = task();
            opened = ArmProvider.of(arm, task).open(arm, task);
            Notes.describe(arm, opened, opened.check());
        } catch (RuntimeException e) {
            Notes.failed(arm, e);
            throw e;
        }
    }

    /**
     * Computes the task once, and notes what all threads allocate meanwhile. With one thread all arms compute in the
     * caller's, and its processor time is noted: on a machine with other work it says more than the time on the wall.
     *
     * @return what JMH shall consume
     */
    protected final Object runArm() {
        long allocated = clock.getTotalThreadAllocatedBytes();
        long start = clock.getCurrentThreadCpuTime();
        Object result = opened.run();
        if (threads == 1) {
            cpuNanos.add(clock.getCurrentThreadCpuTime() - start);
        }
        allocatedBytes.add(clock.getTotalThreadAllocatedBytes() - allocated);
        return result;
    }

    /** Closes the arm. */
    @TearDown
    public void close() {
        opened.close();
        if (!allocatedBytes.isEmpty()) {
            Notes.addMedians(arm, cpuNanos.isEmpty() ? 0 : cpuNanos.median() / 1e9, allocatedBytes.median());
        }
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
