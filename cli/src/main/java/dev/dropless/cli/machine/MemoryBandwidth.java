package dev.dropless.cli.machine;

/** The rate at which threads read memory that no cache holds. */
public final class MemoryBandwidth {

    private static final int PASSES = 6;

    private MemoryBandwidth() {}

    /**
     * Measures; takes about a second.
     *
     * @param threads threads that read at once, each its own part
     * @param megabytes how much to read in all, well beyond the caches
     * @return 10^9 bytes per second, the best pass of every thread
     * @throws InterruptedException if the caller is interrupted
     */
    public static double gigabytesPerSecond(int threads, int megabytes) throws InterruptedException {
        int longs = (int) ((long) megabytes * (1 << 20) / Long.BYTES / threads);
        return Measurement.onThreads(threads, t -> {
            long[] data = new long[longs];
            double best = 0;
            long sink = 0;
            for (int pass = 0; pass < PASSES; pass++) {
                long start = System.nanoTime();
                sink ^= read(data);
                best = Math.max(best, (double) longs * Long.BYTES / (System.nanoTime() - start));
            }
            if (sink != 0) {
                throw new IllegalStateException("zeros did not add up to zero");
            }
            return best;
        });
    }

    private static long read(long[] data) {
        long a = 0;
        long b = 0;
        long c = 0;
        long d = 0;
        for (int i = 0; i + 3 < data.length; i += 4) {
            a += data[i];
            b += data[i + 1];
            c += data[i + 2];
            d += data[i + 3];
        }
        return a + b + c + d;
    }
}
