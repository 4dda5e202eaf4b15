package dev.dropless.kernels.cuda;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** Everything that is open on one context. What a user forgot is closed with the context, and named. */
final class Handles {

    /** Something of the driver's that must be given back. */
    interface Handle extends AutoCloseable {

        /** What it is, for the message about a leak. */
        String kind();

        @Override
        void close();
    }

    private final Set<Handle> open = ConcurrentHashMap.newKeySet();

    /** Counts a handle as open. */
    <H extends Handle> H opened(H handle) {
        open.add(handle);
        return handle;
    }

    /**
     * Counts a handle as closed.
     *
     * @return false if it was closed before, and must not be given back again
     */
    boolean closed(Handle handle) {
        return open.remove(handle);
    }

    /** Tells whether a handle is still open. */
    boolean isOpen(Handle handle) {
        return open.contains(handle);
    }

    /** Returns how many handles are open. */
    int count() {
        return open.size();
    }

    /** Returns the number of open handles of each kind, for messages. */
    String describe() {
        return open.stream()
                .collect(Collectors.groupingBy(Handle::kind, java.util.TreeMap::new, Collectors.counting()))
                .toString();
    }

    /** Closes whatever is open. */
    void closeAll() {
        List.copyOf(open).forEach(Handle::close);
    }
}
