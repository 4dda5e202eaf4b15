package dev.dropless.benchmarks;

/** One way to compute a {@link Task}, ready to run: operands are in memory, weights in their own layout. */
public interface Arm extends AutoCloseable {

    /**
     * Computes the task once.
     *
     * @return something that depends on the result, so that no compiler removes the work
     */
    Object run();

    /**
     * Compares the result of the last {@link #run} with a reference in double precision.
     *
     * @return largest error relative to the largest magnitude of the reference
     * @throws CheckFailed if the result is wrong
     */
    double check();

    /**
     * Says what computes.
     *
     * @return one line: library, version, instruction set
     */
    String description();

    /**
     * Returns the operations that are done, padding included.
     *
     * @return operations; those of the task where nothing is padded
     */
    double computedFlops();

    /** Frees operands and weights. */
    @Override
    void close();

    /** A result that is not the task's. */
    final class CheckFailed extends RuntimeException {
        private static final long serialVersionUID = 1;

        /**
         * Creates the exception.
         *
         * @param message what differs
         */
        public CheckFailed(String message) {
            super(message);
        }
    }
}
