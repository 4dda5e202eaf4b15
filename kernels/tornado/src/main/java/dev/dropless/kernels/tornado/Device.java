package dev.dropless.kernels.tornado;

import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** An engine with who uses which part of its arrays. Safe for use by several threads. */
final class Device implements AutoCloseable {

    private static final int FIRST_FLOATS = 1 << 20;
    private static final int FIRST_INTS = 1 << 16;
    private static final int FIRST_HALVES = 1 << 20;

    private final Engine engine;
    private final boolean tiled;
    private final Heap floats = new Heap(FIRST_FLOATS);
    private final Heap ints = new Heap(FIRST_INTS);
    private final Heap halves = new Heap(FIRST_HALVES);
    private boolean closed;

    Device(Engine engine, boolean tiled) {
        this.engine = engine;
        this.tiled = tiled;
        engine.reserve(FIRST_FLOATS, FIRST_INTS, FIRST_HALVES);
    }

    String describe() {
        return engine.describe();
    }

    /** Whether products use tiles in local memory. */
    boolean isTiled() {
        return tiled;
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("these kernels are closed");
        }
    }

    /** Takes floats, whose values are undefined. */
    synchronized int takeFloats(long count) {
        return take(floats, count);
    }

    private int take(Heap heap, long count) {
        checkOpen();
        int offset = heap.take(count);
        if (offset < 0) {
            int length = heap.lengthFor(count);
            engine.reserve(
                    heap == floats ? length : floats.length(),
                    heap == ints ? length : ints.length(),
                    heap == halves ? length : halves.length());
            heap.grow(length);
            offset = heap.take(count);
        }
        return offset;
    }

    synchronized void giveFloats(int offset) {
        floats.give(offset);
    }

    /** Whether kernels may compute in double precision. */
    boolean hasDoubles() {
        return engine.hasDoubles();
    }

    /** Whether products of 16-bit floats can be computed as they are. */
    boolean hasTensorCores() {
        return engine.hasTensorCores();
    }

    /** Takes 16-bit floats, whose values are undefined. */
    synchronized int takeHalves(long count) {
        return take(halves, count);
    }

    synchronized void giveHalves(int offset) {
        halves.give(offset);
    }

    /** Takes ints, whose values are undefined. */
    synchronized int takeInts(long count) {
        return take(ints, count);
    }

    /** Takes ints with these values. */
    synchronized int takeInts(int[] values) {
        int offset = takeInts((long) values.length);
        for (int done = 0; done < values.length; ) {
            int count = Math.min(engine.stagingLength(), values.length - done);
            MemorySegment.copy(values, done, engine.intStaging(count), ValueLayout.JAVA_INT, 0, count);
            engine.scatterInts(count, offset + done);
            done += count;
        }
        return offset;
    }

    synchronized void giveInts(int offset) {
        ints.give(offset);
    }

    /** Reads ints. */
    synchronized int[] readInts(int offset, int count) {
        checkOpen();
        return engine.readInts(offset, count).toArray(ValueLayout.JAVA_INT);
    }

    /** Runs a kernel; with no threads there is nothing to do. */
    synchronized void launch(Kernel kernel, Arguments arguments, int columns, int rows) {
        checkOpen();
        if (columns > 0 && rows > 0) {
            engine.launch(kernel, arguments.words(), arguments.constants(), columns, rows);
        }
    }

    /** Fills staging memory with the elements of a matrix from number {@code start} on. */
    interface Source {
        void copy(int start, int count, MemorySegment target);
    }

    /** Takes the elements of a matrix, which lie in memory as far apart as they do on the device. */
    interface Target {
        void copy(MemorySegment source);
    }

    /** Writes a matrix of {@code count} floats in all. */
    synchronized void write(Source source, int count, int columns, int base, int rowStride) {
        checkOpen();
        for (int done = 0; done < count; ) {
            int part = Math.min(engine.stagingLength(), count - done);
            source.copy(done, part, engine.floatStaging(part));
            engine.scatter(part, done, columns, base, rowStride);
            done += part;
        }
    }

    /** Writes a matrix of {@code count} 16-bit floats in all. */
    synchronized void writeHalves(Source source, int count, int columns, int base, int rowStride) {
        checkOpen();
        for (int done = 0; done < count; ) {
            int part = Math.min(engine.stagingLength(), count - done);
            source.copy(done, part, engine.halfStaging(part));
            engine.scatterHalves(part, done, columns, base, rowStride);
            done += part;
        }
    }

    /** Reads a run of floats. */
    synchronized void read(int first, int count, Target target) {
        checkOpen();
        target.copy(engine.read(first, count));
    }

    /** Reads a run of 16-bit floats. */
    synchronized void readHalves(int first, int count, Target target) {
        checkOpen();
        target.copy(engine.readHalves(first, count));
    }

    /** Frees the device. Nothing that was taken from it can be used any more. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            engine.close();
        }
    }

    /** Number of allocations of all arrays that were not given back. */
    synchronized int allocations() {
        return floats.allocations() + ints.allocations() + halves.allocations();
    }
}
