package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

class CpuTaskRunnerTest {

    @Test
    void runsEveryTaskOnce() {
        for (int threads = 1; threads <= 4; threads++) {
            try (CpuTaskRunner runner = new CpuTaskRunner(threads)) {
                for (int tasks : new int[] {0, 1, 2, 3, 100, 1000}) {
                    AtomicIntegerArray calls = new AtomicIntegerArray(tasks);
                    runner.run(tasks, calls::incrementAndGet);
                    for (int i = 0; i < tasks; i++) {
                        assertEquals(1, calls.get(i));
                    }
                }
            }
        }
    }

    /** Two tasks that wait for each other end only if two threads run them. */
    @Test
    void runsTasksAtTheSameTime() {
        try (CpuTaskRunner runner = new CpuTaskRunner(2)) {
            CountDownLatch both = new CountDownLatch(2);
            Assertions.assertTimeoutPreemptively(
                    Duration.ofSeconds(20),
                    () -> runner.run(2, i -> {
                        both.countDown();
                        waitFor(both);
                    }));
        }
    }

    private static void waitFor(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void throwsTheFailureAfterAllTasksEnded() {
        try (CpuTaskRunner runner = new CpuTaskRunner(3)) {
            AtomicInteger ended = new AtomicInteger();
            IllegalStateException failure = new IllegalStateException("task 5");
            IllegalStateException thrown = assertThrows(
                    IllegalStateException.class,
                    () -> runner.run(50, i -> {
                        ended.incrementAndGet();
                        if (i == 5) {
                            throw failure;
                        }
                    }));
            assertSame(failure, thrown);
            assertEquals(50, ended.get());
            runner.run(10, i -> ended.incrementAndGet());
            assertEquals(60, ended.get());
        }
    }

    @Test
    void nestedAndConcurrentRuns() throws InterruptedException {
        try (CpuTaskRunner runner = new CpuTaskRunner(2)) {
            AtomicInteger calls = new AtomicInteger();
            Thread[] callers = new Thread[4];
            for (int c = 0; c < callers.length; c++) {
                callers[c] = Thread.ofPlatform()
                        .start(() -> runner.run(20, i -> runner.run(5, j -> calls.incrementAndGet())));
            }
            for (Thread caller : callers) {
                caller.join();
            }
            assertEquals(4 * 20 * 5, calls.get());
        }
    }

    @Test
    void closedRunnerRefusesWorkForSeveralThreads() {
        CpuTaskRunner runner = new CpuTaskRunner(2);
        runner.close();
        runner.close();
        assertThrows(IllegalStateException.class, () -> runner.run(2, i -> {}));
    }
}
