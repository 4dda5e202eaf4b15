package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.HostMemory;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The host's memory, handed out again when a scope has closed: a layer takes tens of megabytes in every pass, and fresh ones cost a page fault for every page and
 * are cleared first. What is kept is at most a quarter more than was ever in use at once.
 *
 * <p>Scopes may be used and closed by any thread, one at a time; those still open when this is closed stay valid.
 */
final class PooledMemory implements KernelMemory, AutoCloseable {

    /** Where blocks come from. */
    interface Source {
        /** Memory of an arena, aligned for vectors; its content does not matter. */
        MemorySegment allocate(Arena arena, long bytes);
    }

    /** Every size is a power of two or one of seven steps to the next, so that similar sizes share blocks. */
    private static final int STEPS = 8;

    private static final long SMALLEST = 4096;

    private final Source source;
    private final HostMemory host = new HostMemory();
    /** Those given back longest ago first. */
    private final ArrayDeque<Block> free = new ArrayDeque<>();

    private long freeBytes;
    private long usedBytes;
    private long mostUsedBytes;
    private boolean closed;

    PooledMemory(Source source) {
        this.source = source;
    }

    /** An arena of its own for each, so that each can be given back to the system. */
    private record Block(Arena arena, MemorySegment segment) {
        long bytes() {
            return segment.byteSize();
        }
    }

    @Override
    public MemorySpace space() {
        return host.space();
    }

    @Override
    public Scope open() {
        return new PooledScope();
    }

    @Override
    public void copy(Matrix source, Matrix target) {
        host.copy(source, target);
    }

    /** Bytes of blocks that nobody uses. */
    synchronized long freeBytes() {
        return freeBytes;
    }

    private synchronized Block take(long bytes) {
        long size = sizeClass(bytes);
        Block block = takeFree(size);
        if (block == null) {
            trim(mostKept() - usedBytes - size);
            block = allocate(size);
        }
        usedBytes += block.bytes();
        mostUsedBytes = Math.max(mostUsedBytes, usedBytes);
        return block;
    }

    private Block allocate(long size) {
        Arena arena = Arena.ofShared();
        try {
            return new Block(arena, source.allocate(arena, size));
        } catch (OutOfMemoryError e) {
            arena.close();
            throw e;
        }
    }

    /** The free block of this size that was used last, which caches know best. */
    private @Nullable Block takeFree(long size) {
        for (Iterator<Block> blocks = free.descendingIterator(); blocks.hasNext(); ) {
            Block block = blocks.next();
            if (block.bytes() == size) {
                blocks.remove();
                freeBytes -= size;
                return block;
            }
        }
        return null;
    }

    private synchronized void give(List<Block> blocks) {
        for (Block block : blocks) {
            assert poison(block.segment());
            usedBytes -= block.bytes();
            freeBytes += block.bytes();
            free.add(block);
        }
        trim(closed ? 0 : mostKept() - usedBytes);
    }

    private long mostKept() {
        return mostUsedBytes + mostUsedBytes / 4;
    }

    /** Gives back to the system what is free beyond a limit. */
    private void trim(long limit) {
        while (freeBytes > Math.max(0, limit)) {
            Block block = free.remove();
            freeBytes -= block.bytes();
            block.arena().close();
        }
    }

    /** NaN in every floating-point type: nobody may count on what was there, or use a matrix of a closed scope. */
    private static boolean poison(MemorySegment segment) {
        segment.fill((byte) -1);
        return true;
    }

    static long sizeClass(long bytes) {
        if (bytes <= SMALLEST) {
            return SMALLEST;
        }
        long step = Long.highestOneBit(bytes - 1) / STEPS;
        return Math.addExact(bytes, step - 1) / step * step;
    }

    @Override
    public synchronized void close() {
        closed = true;
        trim(0);
    }

    private final class PooledScope implements Scope {
        private final List<Block> blocks = new ArrayList<>(4);
        private boolean open = true;

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            if (!open) {
                throw new IllegalStateException("scope: expected an open one, found it closed");
            }
            return Matrix.allocate(this::allocate, type, rows, columns);
        }

        private MemorySegment allocate(long bytes, long alignment) {
            Block block = take(bytes);
            blocks.add(block);
            return block.segment().asSlice(0, bytes, alignment);
        }

        @Override
        public void close() {
            if (open) {
                open = false;
                give(blocks);
            }
        }
    }
}
