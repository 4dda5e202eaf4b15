package dev.dropless.kernels.cuda;

import dev.dropless.topology.TaskRunner;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Phaser;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/** Host threads for work that is not a kernel. The caller takes part; helpers that have not begun when it is done are not waited for, so nesting cannot block. */
final class HostTasks implements TaskRunner, AutoCloseable {

    private final int threads;
    private final ExecutorService helpers;

    HostTasks(int threads) {
        this.threads = threads;
        this.helpers = Executors.newFixedThreadPool(
                Math.max(1, threads - 1),
                Thread.ofPlatform().daemon().name("dropless-cuda-", 1).factory());
    }

    @Override
    public int parallelism() {
        return threads;
    }

    @Override
    public void run(int tasks, IntConsumer task) {
        AtomicInteger next = new AtomicInteger();
        AtomicReference<@Nullable RuntimeException> failure = new AtomicReference<>();
        Phaser begun = new Phaser(1);
        Runnable share = () -> {
            try {
                for (int i = next.getAndIncrement(); i < tasks; i = next.getAndIncrement()) {
                    task.accept(i);
                }
            } catch (RuntimeException e) {
                next.set(tasks);
                failure.compareAndSet(null, e);
            }
        };
        for (int i = 1; i < Math.min(threads, tasks); i++) {
            helpers.execute(() -> {
                if (begun.register() >= 0) { // else the caller is done
                    share.run();
                    begun.arriveAndDeregister();
                }
            });
        }
        share.run();
        begun.arriveAndDeregister();
        begun.awaitAdvance(0);
        RuntimeException first = failure.get();
        if (first != null) {
            throw first;
        }
    }

    @Override
    public void close() {
        helpers.shutdown();
    }
}
