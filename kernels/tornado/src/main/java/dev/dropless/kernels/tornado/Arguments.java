package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.engine.Tables.NONE;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.tornado.engine.Engine;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The arguments of one invocation, in the order in which its kernel reads them. */
final class Arguments {

    private final int[] words = new int[Engine.WORDS];
    private float[] constants = new float[0];
    private int count;

    Arguments add(int... values) {
        System.arraycopy(values, 0, words, count, values.length);
        count += values.length;
        return this;
    }

    Arguments flag(boolean value) {
        return add(value ? 1 : 0);
    }

    /** Where a matrix lies and its row stride; NONE and 0 for none. */
    Arguments matrix(@Nullable Matrix matrix) {
        return matrix == null ? add(NONE, 0) : add(base(matrix), rowStride(matrix));
    }

    /** The constants of an activation. Its function is a word. */
    Arguments activation(Activation activation) {
        constants = new float[] {
            (float) activation.alpha(),
            (float) activation.gateMax(),
            (float) activation.upLimit(),
            (float) activation.upOffset()
        };
        return this;
    }

    Arguments constant(float value) {
        constants = new float[] {value};
        return this;
    }

    /** Constants in double precision, each as the sum of two floats. */
    Arguments doubles(double... values) {
        constants = new float[2 * values.length];
        for (int i = 0; i < values.length; i++) {
            constants[2 * i] = (float) values[i];
            constants[2 * i + 1] = (float) (values[i] - constants[2 * i]);
        }
        return this;
    }

    /** What kernels cannot write down: infinity and NaN. */
    Arguments specials() {
        constants = new float[] {Float.POSITIVE_INFINITY, Float.NaN};
        return this;
    }

    /** These arguments behind others. */
    Arguments after(int... first) {
        Arguments all = new Arguments().add(first).add(words());
        all.constants = constants;
        return all;
    }

    int[] words() {
        return Arrays.copyOf(words, count);
    }

    float[] constants() {
        return constants;
    }

    /** Number of a matrix' first element in the array of its type. */
    static int base(Matrix matrix) {
        long address = matrix.segment().address();
        boolean wide = matrix.type() == ElementType.F32;
        return Math.toIntExact(
                (wide ? address / Float.BYTES : (address - TornadoMemory.HALVES) / Short.BYTES) + matrix.offset());
    }

    static int rowStride(Matrix matrix) {
        return Math.toIntExact(matrix.rowStride());
    }

    static int rows(Matrix matrix) {
        return Math.toIntExact(matrix.rows());
    }

    static int columns(Matrix matrix) {
        return Math.toIntExact(matrix.columns());
    }
}
