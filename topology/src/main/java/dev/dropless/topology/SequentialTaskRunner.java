package dev.dropless.topology;

import java.util.function.IntConsumer;

/** Everything on the calling thread. */
enum SequentialTaskRunner implements TaskRunner {
    INSTANCE;

    @Override
    public int parallelism() {
        return 1;
    }

    @Override
    public void run(int tasks, IntConsumer task) {
        for (int i = 0; i < tasks; i++) {
            task.accept(i);
        }
    }
}
