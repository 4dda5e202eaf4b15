package dev.dropless.benchmarks.suite;

/**
 * How long to measure an arm. Warming up takes seconds: the Vector API's kernels are interpreted, thousands of times
 * slower, until they are compiled. A phase ends with the run in which its time is over, so that an arm whose runs take
 * longer is run once for the check, once to warm up, and once in each iteration.
 *
 * @param forks JVMs; 0 to measure in the caller's own, as tests do
 * @param warmUpMilliseconds for which an arm runs before; at least one run
 * @param iterations iterations that count
 * @param milliseconds length of an iteration; at least one run
 * @param peakMilliseconds length of each of the iterations that measure the machine's peak
 */
public record Effort(int forks, int warmUpMilliseconds, int iterations, int milliseconds, int peakMilliseconds) {

    /** For a claim. */
    public static final Effort FULL = new Effort(2, 8000, 4, 2000, 1500);

    /** For a look. */
    public static final Effort QUICK = new Effort(1, 4000, 1, 3000, 400);
}
