package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One run of weights or packed panels. For the Vector API it lies in a Java array, since its kernels reach the speed of the hardware on arrays only; for
 * emitted code in native memory. Formats narrower than float are converted when read.
 */
final class Storage {

    /** Where weights are kept. */
    interface Allocator {
        /** Zero-filled memory. */
        Storage allocate(Format format, int elements);
    }

    /** Elements before the first one in an array of our own: large arrays begin at a page, their elements 16 bytes on, and so a cache line begins with the first. */
    private static final int LEAD = 12;

    private final Format format;
    private final float @Nullable [] floats;
    private final int base;
    private final MemorySegment segment;
    /** The array in which elements of another format lie from its beginning on; a segment would wrap it anew whenever it is asked. */
    private final @Nullable Object narrow;

    private Storage(
            Format format, float @Nullable [] floats, int base, MemorySegment segment, @Nullable Object narrow) {
        this.format = format;
        this.floats = floats;
        this.narrow = narrow;
        this.base = base;
        this.segment = segment;
    }

    /** A view of an array. */
    static Storage of(float[] array) {
        return new Storage(Format.F32, array, 0, MemorySegment.ofArray(array), null);
    }

    /** A view of native memory. */
    static Storage of(Format format, MemorySegment segment) {
        return new Storage(format, null, 0, segment, null);
    }

    /** A new array, garbage once the last reference is gone. */
    static Storage ofArray(Format format, int elements) {
        return switch (format) {
            case F32 -> {
                float[] array = new float[Math.addExact(elements, LEAD)];
                MemorySegment segment = MemorySegment.ofArray(array).asSlice((long) LEAD * Float.BYTES);
                yield new Storage(format, array, LEAD, segment, null);
            }
            case BF16, F16 -> {
                short[] array = new short[elements];
                yield new Storage(format, null, 0, MemorySegment.ofArray(array), array);
            }
            case INT8 -> {
                byte[] array = new byte[elements];
                yield new Storage(format, null, 0, MemorySegment.ofArray(array), array);
            }
        };
    }

    Format format() {
        return format;
    }

    /** Whether the elements are floats, so that kernels can read them where they are. */
    boolean isFloats() {
        return format == Format.F32;
    }

    /** Whether these are floats in a Java array. */
    boolean isArray() {
        return floats != null;
    }

    /** The array of floats in which this is, from {@link #base} on. */
    float[] array() {
        return Objects.requireNonNull(floats, "floats in native memory");
    }

    /** Index of the first element in the array. */
    int base() {
        return base;
    }

    /** The array of numbers narrower than floats in which this is, from its first element on, or null where there is none. */
    @Nullable
    Object narrowArray() {
        return narrow;
    }

    MemorySegment segment() {
        return segment;
    }

    long elements() {
        return segment.byteSize() / format.bytes();
    }

    void read(int index, int n, float[] target, int offset) {
        if (floats != null) {
            System.arraycopy(floats, base + index, target, offset, n);
        } else if (format == Format.INT8) {
            for (int i = 0; i < n; i++) {
                target[offset + i] = segment.get(ValueLayout.JAVA_BYTE, (long) index + i);
            }
        } else {
            Rows.read(segment, format.type(), index, n, target, offset);
        }
    }

    /** Reads rows of a panel into an array of floats, by the kernels' own conversion where there is one. */
    void widen(TileKernels kernels, int index, int rows, Storage target, int offset) {
        if (kernels.converts(format, Format.F32)) {
            kernels.widenRows(rows, this, index, target, offset);
        } else {
            read(index, rows * TileKernels.PANEL, target.array(), target.base() + offset);
        }
    }

    /** Narrower formats round; 8-bit ones take whole numbers of -127..127 only. */
    void write(float[] source, int offset, int n, int index) {
        if (floats != null) {
            System.arraycopy(source, offset, floats, base + index, n);
        } else if (format == Format.INT8) {
            for (int i = 0; i < n; i++) {
                segment.set(ValueLayout.JAVA_BYTE, (long) index + i, (byte) source[offset + i]);
            }
        } else {
            Rows.write(source, offset, n, segment, format.type(), index);
        }
    }

    void zero() {
        segment.fill((byte) 0);
    }

    /** All elements, as one row. */
    Matrix matrix() {
        return Matrix.of(segment, format.type(), 1, elements());
    }
}
