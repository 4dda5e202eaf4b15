package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** The elementwise steps of {@link ExpertLoop}, vectorised: they must not be what makes a library look slow. */
final class LoopMath {

    private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Short> SHORTS =
            VectorSpecies.of(short.class, jdk.incubator.vector.VectorShape.forBitSize(FLOATS.vectorBitSize() / 2));
    private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

    private LoopMath() {}

    /** hidden = silu(gate) * up, or gelu(pre), rounded to type; pre is [rows, 2 F] or [rows, F]. */
    static void activate(boolean gated, int rows, int ffn, MemorySegment pre, MemorySegment hidden, ElementType type) {
        int lanes = FLOATS.length();
        int end = FLOATS.loopBound(ffn);
        for (int i = 0; i < rows; i++) {
            long in = (long) i * (gated ? 2 : 1) * ffn;
            long out = (long) i * ffn;
            for (int j = 0; j < end; j += lanes) {
                FloatVector a = load(pre, in + j);
                FloatVector value = gated ? silu(a).mul(load(pre, in + ffn + j)) : gelu(a);
                store(value, hidden, out + j, type);
            }
            for (int j = end; j < ffn; j++) {
                double a = type(ElementType.F32, pre, in + j);
                double value = gated
                        ? a / (1 + Math.exp(-a)) * type(ElementType.F32, pre, in + ffn + j)
                        : 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a * a * a)));
                type.set(hidden, (out + j) * type.bytes(), value);
            }
        }
    }

    private static double type(ElementType type, MemorySegment segment, long index) {
        return type.get(segment, index * type.bytes());
    }

    private static FloatVector load(MemorySegment segment, long index) {
        return FloatVector.fromMemorySegment(FLOATS, segment, index * Float.BYTES, ORDER);
    }

    private static FloatVector silu(FloatVector a) {
        return a.div(a.neg().lanewise(VectorOperators.EXP).add(1f));
    }

    private static FloatVector gelu(FloatVector a) {
        float c = (float) Math.sqrt(2 / Math.PI);
        FloatVector inner = a.mul(a).mul(0.044715f).add(1f).mul(a).mul(c);
        return inner.lanewise(VectorOperators.TANH).add(1f).mul(a).mul(0.5f);
    }

    /** Rounds to nearest, ties to even, where the type is bfloat16. */
    private static void store(FloatVector value, MemorySegment target, long index, ElementType type) {
        if (type == ElementType.F32) {
            value.intoMemorySegment(target, index * Float.BYTES, ORDER);
            return;
        }
        IntVector bits = value.reinterpretAsInts();
        IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(1);
        IntVector rounded = bits.add(odd).add(0x7fff).lanewise(VectorOperators.LSHR, 16);
        ((ShortVector) rounded.convertShape(VectorOperators.I2S, SHORTS, 0))
                .intoMemorySegment(target, index * Short.BYTES, ORDER);
    }

    /** y[0..n) += factor * x[0..n), both from an index on. */
    static void addScaled(int n, float factor, MemorySegment x, long xIndex, MemorySegment y, long yIndex) {
        int end = FLOATS.loopBound(n);
        FloatVector factors = FloatVector.broadcast(FLOATS, factor);
        for (int j = 0; j < end; j += FLOATS.length()) {
            load(x, xIndex + j)
                    .fma(factors, load(y, yIndex + j))
                    .intoMemorySegment(y, (yIndex + j) * Float.BYTES, ORDER);
        }
        for (int j = end; j < n; j++) {
            double sum = type(ElementType.F32, y, yIndex + j) + factor * type(ElementType.F32, x, xIndex + j);
            ElementType.F32.set(y, (yIndex + j) * Float.BYTES, sum);
        }
    }
}
