package dev.dropless.kernels.cuda;

import java.lang.invoke.MethodHandle;
import java.util.Arrays;

/** Calls foreign functions that return an int. */
final class ForeignCalls {

    private ForeignCalls() {}

    /** Invokes a handle. A downcall throws only what a wrong call of it would (a bug here), so nothing is declared. */
    static int invoke(MethodHandle function, Object... arguments) {
        try {
            return (int) function.invokeWithArguments(arguments);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) { // what MethodHandle declares
            throw new IllegalStateException("foreign call with " + Arrays.toString(arguments), e);
        }
    }
}
