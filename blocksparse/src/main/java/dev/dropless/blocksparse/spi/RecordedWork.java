package dev.dropless.blocksparse.spi;

/**
 * Work of opened kernels that was recorded once and is started as a whole as often as wanted. It reads and writes the
 * matrices, weights and plans it was recorded with, where they lay then; they must stay open.
 */
public interface RecordedWork extends AutoCloseable {

    /** Queues the work behind what is already queued. Returns at once. */
    void launch();

    /** Frees what was recorded. A second call does nothing. */
    @Override
    void close();
}
