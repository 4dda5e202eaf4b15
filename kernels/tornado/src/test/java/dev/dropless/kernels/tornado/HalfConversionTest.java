package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The device's conversions are those of the host, bit for bit. */
class HalfConversionTest {

    private static final int ROWS = 256;
    private static final int ALL = 1 << 16;

    /** Copies from one type to another on the device. */
    private static double[] converted(Matrix source, ElementType from, ElementType to) {
        try (TornadoKernels kernels = TornadoBackend.open(new JavaEngine(), 0);
                KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix a = scope.allocate(from, source.rows(), source.columns());
            Matrix b = scope.allocate(to, source.rows(), source.columns());
            kernels.memory().copy(source, a);
            kernels.memory().copy(a, b);
            MemorySegment bytes = MemorySegment.ofArray(new byte[ALL * to.bytes()]);
            Matrix result = Matrix.of(bytes, to, source.rows(), source.columns());
            kernels.memory().copy(b, result);
            return result.toDoubles();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void everyNumberIsWidenedExactly(ElementType type) {
        short[] bits = new short[ALL];
        for (int i = 0; i < ALL; i++) {
            bits[i] = (short) i;
        }
        Matrix source = Matrix.of(MemorySegment.ofArray(bits), type, ROWS, ALL / ROWS);
        assertThat(converted(source, type, ElementType.F32)).isEqualTo(source.toDoubles());
    }

    /** Any bits, and numbers between two neighbours of the narrow type, half of them in the middle. */
    private static float[] floats(ElementType type) {
        Random random = new Random(3);
        int dropped = type == ElementType.BF16 ? 16 : 13;
        float[] values = new float[ALL];
        for (int i = 0; i < ALL; i++) {
            int bits = random.nextInt();
            if (i % 4 == 1) {
                bits = Float.floatToRawIntBits((float) random.nextGaussian());
            } else if (i % 4 > 1) {
                int exponent = 127 + random.nextInt(-26, 18);
                bits = (bits & 0x807fffff) | exponent << 23;
                bits = i % 4 == 3 ? bits >> dropped << dropped | 1 << dropped - 1 : bits;
            }
            values[i] = Float.intBitsToFloat(bits);
        }
        values[0] = -0f;
        values[1] = Float.NEGATIVE_INFINITY;
        values[2] = Float.MAX_VALUE;
        values[3] = -Float.MIN_VALUE;
        values[4] = Float.NaN;
        return values;
    }

    @ParameterizedTest
    @EnumSource(names = {"BF16", "F16"})
    void floatsAreRoundedToNearestTiesToEven(ElementType type) {
        Matrix source = Matrix.of(floats(type), ROWS, ALL / ROWS);
        Matrix expected = Matrix.of(MemorySegment.ofArray(new short[ALL]), type, ROWS, ALL / ROWS);
        expected.copyFrom(source);
        assertThat(converted(source, ElementType.F32, type)).isEqualTo(expected.toDoubles());
    }
}
