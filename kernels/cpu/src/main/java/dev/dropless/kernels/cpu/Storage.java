package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One run of weights or packed panels. For the Vector API it lies in a Java array, since its kernels reach the speed of the hardware on arrays only; for
 * emitted code in native memory. Types narrower than float are converted when read.
 */
final class Storage {

    /** Where weights are kept. */
    interface Allocator {
        /** Zero-filled memory for elements of a type that {@link #checked} has passed. */
        Storage allocate(ElementType type, int elements);
    }

    /** Elements before the first one in an array of our own: large arrays begin at a page, their elements 16 bytes on, and so a cache line begins with the first. */
    private static final int LEAD = 12;

    private final ElementType type;
    private final float @Nullable [] floats;
    private final int base;
    private final MemorySegment segment;

    private Storage(ElementType type, float @Nullable [] floats, int base, MemorySegment segment) {
        this.type = type;
        this.floats = floats;
        this.base = base;
        this.segment = segment;
    }

    /** A view of an array. */
    static Storage of(float[] array) {
        return new Storage(ElementType.F32, array, 0, MemorySegment.ofArray(array));
    }

    /** A view of native memory. */
    static Storage of(ElementType type, MemorySegment segment) {
        return new Storage(type, null, 0, segment);
    }

    /** A new array, garbage once the last reference is gone. */
    static Storage ofArray(ElementType type, int elements) {
        if (checked(type) != ElementType.F32) {
            return of(type, MemorySegment.ofArray(new short[elements]));
        }
        float[] array = new float[Math.addExact(elements, LEAD)];
        return new Storage(type, array, LEAD, MemorySegment.ofArray(array).asSlice((long) LEAD * Float.BYTES));
    }

    /** Checks that this back end can keep weights as a type. */
    static ElementType checked(ElementType type) {
        if (type == ElementType.F64) {
            throw new IllegalArgumentException("type: expected F32, BF16 or F16, found " + type);
        }
        return type;
    }

    /** Whether the elements are floats, so that kernels can read them where they are. */
    boolean isFloats() {
        return type == ElementType.F32;
    }

    /** The array of floats in which this is, from {@link #base} on. */
    float[] array() {
        return Objects.requireNonNull(floats, "floats in native memory");
    }

    /** Index of the first element in the array. */
    int base() {
        return base;
    }

    MemorySegment segment() {
        return segment;
    }

    long elements() {
        return segment.byteSize() / type.bytes();
    }

    void read(int index, int n, float[] target, int offset) {
        if (floats != null) {
            System.arraycopy(floats, base + index, target, offset, n);
        } else {
            Rows.read(segment, type, index, n, target, offset);
        }
    }

    void write(float[] source, int offset, int n, int index) {
        if (floats != null) {
            System.arraycopy(source, offset, floats, base + index, n);
        } else {
            Rows.write(source, offset, n, segment, type, index);
        }
    }

    void zero() {
        segment.fill((byte) 0);
    }

    /** All elements, as one row. */
    Matrix matrix() {
        return Matrix.of(segment, type, 1, elements());
    }
}
