package dev.dropless.kernels.cpu;

import java.util.ArrayDeque;
import java.util.function.Function;

/** Objects not in use, so that there are never more than are in use at the same time, and a warm call allocates none. */
final class Pool<T extends Pool.Reusable> {

    /** What can be used again. */
    interface Reusable {
        /** Lets go of operands, so that nothing of the caller's is kept alive. */
        void clear();
    }

    private final ArrayDeque<T> free = new ArrayDeque<>();
    private final Function<Pool<T>, T> maker;

    /** An empty pool. */
    Pool(Function<Pool<T>, T> maker) {
        this.maker = maker;
    }

    T take() {
        T present;
        synchronized (this) {
            present = free.poll();
        }
        return present == null ? maker.apply(this) : present;
    }

    void give(T unused) {
        unused.clear();
        synchronized (this) {
            free.push(unused);
        }
    }
}
