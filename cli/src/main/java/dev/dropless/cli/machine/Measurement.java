package dev.dropless.cli.machine;

import java.util.concurrent.CountDownLatch;
import java.util.function.IntToDoubleFunction;

/** Runs a loop on several threads at once, and adds up their rates. */
final class Measurement {

    private Measurement() {}

    /**
     * Measures.
     *
     * @param threads how many threads
     * @param rate what one thread does, given its number; returns its own rate
     * @return the sum of the rates
     * @throws InterruptedException if the caller is interrupted
     */
    static double onThreads(int threads, IntToDoubleFunction rate) throws InterruptedException {
        double[] rates = new double[threads];
        CountDownLatch ready = new CountDownLatch(threads);
        Thread[] running = new Thread[threads];
        for (int t = 0; t < threads; t++) {
            int number = t;
            running[t] = Thread.ofPlatform().name("dropless-measure-" + t).start(() -> {
                ready.countDown();
                try {
                    ready.await();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return;
                }
                rates[number] = rate.applyAsDouble(number);
            });
        }
        double sum = 0;
        for (int t = 0; t < threads; t++) {
            running[t].join();
            sum += rates[t];
        }
        return sum;
    }
}
