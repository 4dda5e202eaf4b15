package dev.dropless.kernels.cpu.x86;

/**
 * Calls through method handles, which declare {@code Throwable}. Downcalls themselves throw no checked exception, so this is the one place that
 * has to say so.
 *
 * @param <T> result type
 */
@FunctionalInterface
interface ForeignCall<T> {

    T call() throws Throwable;

    /** Makes the call; unchecked exceptions pass through. */
    static <T> T of(ForeignCall<T> call) {
        try {
            return call.call();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException("a downcall threw a checked exception", e);
        }
    }
}
