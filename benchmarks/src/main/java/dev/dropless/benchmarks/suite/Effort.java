package dev.dropless.benchmarks.suite;

/**
 * How long to measure an arm. Warming up takes seconds: the Vector API's kernels are interpreted, thousands of times
 * slower, until they are compiled. An arm whose run takes longer than a phase is run once in it, so measuring one takes at most
 * two or three of its runs more than the times given here.
 *
 * @param forks JVMs; 0 to measure in the caller's own, as tests do
 * @param warmUpMilliseconds for which an arm runs before, its check included
 * @param iterations iterations that count
 * @param milliseconds length of an iteration; at least one run
 * @param peakMilliseconds length of each of the iterations that measure the machine's peak
 */
public record Effort(int forks, int warmUpMilliseconds, int iterations, int milliseconds, int peakMilliseconds) {

    /** For a claim. */
    public static final Effort FULL = new Effort(2, 8000, 4, 2000, 1500);

    /** For a look. */
    public static final Effort QUICK = new Effort(1, 5000, 1, 3000, 400);
}
