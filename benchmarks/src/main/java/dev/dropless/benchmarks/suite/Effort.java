package dev.dropless.benchmarks.suite;

/**
 * How long to measure an arm. Warming up takes seconds: the Vector API's kernels are interpreted, thousands of times
 * slower, until they are compiled.
 *
 * @param forks JVMs; 0 to measure in the caller's own, as tests do
 * @param warmups iterations before
 * @param iterations iterations that count
 * @param milliseconds length of an iteration; at least one run
 */
public record Effort(int forks, int warmups, int iterations, int milliseconds) {

    /** For a claim. */
    public static final Effort FULL = new Effort(2, 4, 4, 2000);

    /** For a look. */
    public static final Effort QUICK = new Effort(1, 4, 3, 1000);
}
