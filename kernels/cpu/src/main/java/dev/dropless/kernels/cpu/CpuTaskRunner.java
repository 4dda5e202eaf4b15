package dev.dropless.kernels.cpu;

import dev.dropless.topology.TaskRunner;
import java.lang.invoke.VarHandle;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * A fixed pool of daemon threads. Tasks are handed out one by one in index order to whichever thread is free, so a list that begins with its
 * largest tasks ends evenly; the calling thread takes part. Several callers may run at once: each finishes its own tasks and gets help from the threads that
 * are free. A nested run is allowed, and computed by its caller and free threads in the same way.
 */
final class CpuTaskRunner implements TaskRunner, AutoCloseable {

    /** Looks before a thread sleeps, some tens of microseconds: a layer's products follow each other faster than the system wakes a thread. */
    private static final int SPINS = 1000;

    private final Thread[] workers;
    /** Jobs with tasks not yet handed out; guarded by itself. */
    private final ArrayDeque<Job> jobs = new ArrayDeque<>();
    /** Those that nobody uses, so that a call allocates none; guarded by the lock of jobs. */
    private final ArrayDeque<Job> free = new ArrayDeque<>();

    /** How many there are, for a look without the lock. */
    private volatile int open;

    private volatile boolean closed; // written under the lock of jobs

    /** Starts threads - 1 threads: the caller of {@link #run} is one more. */
    CpuTaskRunner(int threads) {
        workers = new Thread[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            workers[i] =
                    Thread.ofPlatform().daemon().name("dropless-cpu-" + (i + 1)).start(this::work);
        }
    }

    @Override
    public int parallelism() {
        return workers.length + 1;
    }

    @Override
    public void run(int tasks, IntConsumer task) {
        if (tasks <= 0) {
            return;
        }
        if (tasks == 1 || workers.length == 0) {
            runAlone(tasks, task);
            return;
        }
        Job job = open(tasks, task);
        job.help();
        remove(job);
        job.await();
        Throwable failure = job.failure.get();
        leave(job);
        rethrow(failure);
    }

    private static void runAlone(int tasks, IntConsumer task) {
        Throwable failure = null;
        for (int i = 0; i < tasks; i++) {
            try {
                task.accept(i);
            } catch (RuntimeException | Error e) {
                failure = failure == null ? e : failure;
            }
        }
        VarHandle.fullFence(); // orders what emitted code stored past the caches
        rethrow(failure);
    }

    private static void rethrow(@Nullable Throwable failure) {
        switch (failure) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case null, default -> {}
        }
    }

    private Job open(int tasks, IntConsumer task) {
        synchronized (jobs) {
            if (closed) {
                throw new IllegalStateException("kernels are closed");
            }
            Job unused = free.poll();
            Job job = unused == null ? new Job() : unused;
            job.start(tasks, task);
            jobs.add(job);
            open = jobs.size();
            jobs.notifyAll();
            return job;
        }
    }

    private void work() {
        while (true) {
            Job job;
            for (int spin = 0; spin < SPINS && open == 0 && !closed; spin++) {
                Thread.onSpinWait();
            }
            synchronized (jobs) {
                while (jobs.isEmpty() && !closed) {
                    try {
                        jobs.wait();
                    } catch (InterruptedException e) {
                        return; // only close() interrupts
                    }
                }
                if (closed) {
                    return;
                }
                job = jobs.getFirst();
                job.users++;
            }
            job.help();
            remove(job);
            leave(job);
        }
    }

    private void remove(Job job) {
        synchronized (jobs) {
            jobs.remove(job);
            open = jobs.size();
        }
    }

    /** The last one that leaves a job frees it: before, its counters are still read. */
    private void leave(Job job) {
        synchronized (jobs) {
            job.users--;
            if (job.users == 0) {
                job.task = NOTHING;
                free.push(job);
            }
        }
    }

    /** Ends the threads once they are idle; runs in progress are finished by their callers. A second call does nothing. */
    @Override
    public void close() {
        synchronized (jobs) {
            closed = true;
            jobs.notifyAll();
        }
    }

    private static final IntConsumer NOTHING = i -> {};

    /** One call of {@link #run}. Written before the job is opened, under the lock that everybody takes to get it. */
    private static final class Job {
        private int tasks;
        private IntConsumer task = NOTHING;
        /** Threads that have it; guarded by the lock of jobs. */
        private int users;

        private final AtomicInteger next = new AtomicInteger();
        private final AtomicInteger finished = new AtomicInteger();
        private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

        void start(int count, IntConsumer work) {
            tasks = count;
            task = work;
            users = 1;
            next.set(0);
            finished.set(0);
            failure.set(null);
        }

        /** Computes tasks until all are handed out. */
        void help() {
            for (int i = next.getAndIncrement(); i < tasks; i = next.getAndIncrement()) {
                try {
                    task.accept(i);
                } catch (RuntimeException | Error e) {
                    failure.compareAndSet(null, e);
                } finally {
                    // A locked instruction on x86, which also orders what emitted code stored past the caches.
                    if (finished.incrementAndGet() == tasks) {
                        synchronized (this) {
                            notifyAll();
                        }
                    }
                }
            }
        }

        /** Waits for the tasks that other threads compute. An interrupt does not end the wait, since they write to the caller's memory; it is kept. */
        void await() {
            for (int spin = 0; spin < SPINS && finished.get() < tasks; spin++) {
                Thread.onSpinWait();
            }
            if (finished.get() < tasks) {
                sleep();
            }
        }

        private synchronized void sleep() {
            boolean interrupted = false;
            while (finished.get() < tasks) {
                try {
                    wait();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
