package dev.dropless.kernels.cpu.x86;

/**
 * Calls through method handles, which declare {@code Throwable}. Downcalls themselves throw no checked exception, so this is the one place that
 * has to say so.
 *
 * @param <T> result type
 */
@FunctionalInterface
public interface ForeignCall<T> {

    /**
     * Makes the downcall.
     *
     * @return its result
     * @throws Throwable what method handles declare
     */
    T call() throws Throwable;

    /**
     * Makes the call; unchecked exceptions pass through.
     *
     * @param <T> result type
     * @param call the downcall
     * @return its result
     */
    static <T> T of(ForeignCall<T> call) {
        try {
            return call.call();
        } catch (Throwable e) { // what method handles declare
            throw unchecked(e);
        }
    }

    /**
     * What to throw for what a downcall threw, where a lambda would cost too much: {@code throw ForeignCall.unchecked(e)}.
     *
     * @param thrown what it threw
     * @return {@code thrown}, or the state that a checked exception shows
     * @throws Error {@code thrown}, if it is one
     */
    static RuntimeException unchecked(Throwable thrown) {
        if (thrown instanceof Error error) {
            throw error;
        }
        return thrown instanceof RuntimeException unchecked
                ? unchecked
                : new IllegalStateException("a downcall threw a checked exception", thrown);
    }
}
