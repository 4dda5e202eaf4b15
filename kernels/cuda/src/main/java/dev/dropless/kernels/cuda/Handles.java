package dev.dropless.kernels.cuda;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Everything that is open on one context. What a user forgot is closed with the context, and named. Safe for use by several threads. */
final class Handles {

    /** Something of the driver's that must be given back. */
    interface Handle extends AutoCloseable {

        /** What it is, for the message about a leak. */
        String kind();

        @Override
        void close();
    }

    /** In the order of opening: memory is given back through the stream that it was taken from, which is older. */
    private final LinkedHashSet<Handle> open = new LinkedHashSet<>();

    /** Counts a handle as open. */
    synchronized <H extends Handle> H opened(H handle) {
        open.add(handle);
        return handle;
    }

    /**
     * Counts a handle as closed.
     *
     * @return false if it was closed before, and must not be given back again
     */
    synchronized boolean closed(Handle handle) {
        return open.remove(handle);
    }

    /** Tells whether a handle is still open. */
    synchronized boolean isOpen(Handle handle) {
        return open.contains(handle);
    }

    /** Returns how many handles are open. */
    synchronized int count() {
        return open.size();
    }

    /** Returns the number of open handles of each kind, for messages. */
    synchronized String describe() {
        return open.stream()
                .collect(Collectors.groupingBy(Handle::kind, TreeMap::new, Collectors.counting()))
                .toString();
    }

    /** Closes whatever is open, the youngest first. */
    void closeAll() {
        newestFirst().forEach(Handle::close);
    }

    private synchronized List<Handle> newestFirst() {
        return List.copyOf(open.reversed());
    }
}
