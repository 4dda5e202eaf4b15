package dev.dropless.topology;

import java.util.function.IntConsumer;

/**
 * Runs a fixed number of independent tasks, on one thread or on several. It is the only notion of threads that the
 * library's integer and matrix code has: who owns the threads decides how many there are, and a result never depends
 * on it.
 *
 * <p>Implementations are safe for use by several callers at once. A task must not call {@link #run} of the runner it
 * runs on.
 */
public interface TaskRunner {

    /**
     * Returns how many tasks may run at the same time.
     *
     * @return the number of threads, at least 1
     */
    int parallelism();

    /**
     * Calls {@code task} once with each of 0, 1, ..., {@code tasks - 1}, in no particular order, and returns when all
     * calls are done. What the tasks wrote is visible to the caller afterwards.
     *
     * @param tasks number of tasks, 0 or more
     * @param task what to do with one task's index; an exception one of them throws is thrown on to the caller once
     *     no task runs any
     *     more; tasks that had not begun by then may be left out
     */
    void run(int tasks, IntConsumer task);

    /**
     * Returns a runner that does everything on the calling thread, in index order.
     *
     * @return the sequential runner
     */
    static TaskRunner sequential() {
        return SequentialTaskRunner.INSTANCE;
    }
}
