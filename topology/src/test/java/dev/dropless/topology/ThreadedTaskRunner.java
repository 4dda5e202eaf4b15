package dev.dropless.topology;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntConsumer;

/** Real threads, one job per task, started in reverse so that no test passes because of index order. */
record ThreadedTaskRunner(int parallelism) implements TaskRunner {

    @Override
    public void run(int tasks, IntConsumer task) {
        try (ExecutorService threads = Executors.newFixedThreadPool(parallelism)) {
            List<Future<?>> jobs = new ArrayList<>();
            for (int i = tasks - 1; i >= 0; i--) {
                int index = i;
                jobs.add(threads.submit(() -> task.accept(index)));
            }
            for (Future<?> job : jobs) {
                job.get();
            }
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
