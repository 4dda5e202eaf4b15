package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One run of weights in a Java array: kernels of the Vector API reach the speed of the hardware on arrays only. Types narrower than float are converted when
 * read.
 */
final class Storage {

    private final ElementType type;
    private final float @Nullable [] floats;
    private final short @Nullable [] shorts;
    private final MemorySegment segment;

    private Storage(ElementType type, float @Nullable [] floats, short @Nullable [] shorts, MemorySegment segment) {
        this.type = type;
        this.floats = floats;
        this.shorts = shorts;
        this.segment = segment;
    }

    static Storage allocate(ElementType type, int elements) {
        return switch (type) {
            case F32 -> {
                float[] array = new float[elements];
                yield new Storage(type, array, null, MemorySegment.ofArray(array));
            }
            case BF16, F16 -> {
                short[] array = new short[elements];
                yield new Storage(type, null, array, MemorySegment.ofArray(array));
            }
            case F64 -> throw new IllegalArgumentException("type: expected F32, BF16 or F16, found " + type);
        };
    }

    /** The elements themselves where they are floats, else null. */
    float @Nullable [] floats() {
        return floats;
    }

    void read(int index, int n, float[] target, int offset) {
        if (floats != null) {
            System.arraycopy(floats, index, target, offset, n);
        } else {
            Rows.read(segment, type, index, n, target, offset);
        }
    }

    void write(float[] source, int offset, int n, int index) {
        if (floats != null) {
            System.arraycopy(source, offset, floats, index, n);
        } else {
            Rows.write(source, offset, n, segment, type, index);
        }
    }

    void zero() {
        if (floats != null) {
            Arrays.fill(floats, 0f);
        }
        if (shorts != null) {
            Arrays.fill(shorts, (short) 0);
        }
    }

    /** All elements, as one row. */
    Matrix matrix() {
        return Matrix.of(segment, type, 1, segment.byteSize() / type.bytes());
    }
}
