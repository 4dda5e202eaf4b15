package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.lang.foreign.Arena;
import java.util.function.DoubleSupplier;

/** A matrix in a back end's memory inside a larger one, with a copy on the host; what lies around it must survive. */
final class Operand {

    private static final double BORDER = -77;
    private static final int LEFT = 2;
    private static final int RIGHT = 3;

    private final KernelMemory memory;
    private final Matrix whole;
    private final Matrix mirror;
    private final int left;
    private final long rows;
    private final long columns;

    Operand(
            KernelMemory memory,
            KernelMemory.Scope scope,
            ElementType type,
            long rows,
            long columns,
            boolean strided,
            DoubleSupplier fill) {
        this.memory = memory;
        this.left = strided ? LEFT : 0;
        this.rows = rows;
        this.columns = columns;
        long width = strided ? LEFT + columns + RIGHT : columns;
        this.whole = scope.allocate(type, rows, width);
        this.mirror =
                memory.space().equals(MemorySpace.HOST) ? whole : Matrix.allocate(Arena.ofAuto(), type, rows, width);
        mirror.fill(BORDER);
        fill(fill);
    }

    /** Overwrites the elements, not the border. */
    void fill(DoubleSupplier values) {
        Matrix inner = inner(mirror);
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < columns; j++) {
                inner.set(i, j, values.getAsDouble());
            }
        }
        upload();
    }

    void set(long row, long column, double value) {
        inner(mirror).set(row, column, value);
        upload();
    }

    /** What the back end gets. */
    Matrix matrix() {
        return inner(whole);
    }

    ElementType type() {
        return whole.type();
    }

    /** The elements as they are now. */
    double[][] read() {
        if (mirror != whole) {
            memory.copy(whole, mirror);
        }
        Matrix inner = inner(mirror);
        double[][] values = new double[(int) rows][(int) columns];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                values[i][j] = inner.get(i, j);
            }
        }
        return values;
    }

    /** Fails if anything around the matrix changed. */
    void assertBorderUntouched(String what) {
        if (mirror != whole) {
            memory.copy(whole, mirror);
        }
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < mirror.columns(); j++) {
                if (j < left || j >= left + columns) {
                    assertEquals(BORDER, mirror.get(i, j), what + ": neighbour in row " + i + " was overwritten");
                }
            }
        }
    }

    private Matrix inner(Matrix outer) {
        return outer.sliceColumns(left, columns);
    }

    private void upload() {
        if (mirror != whole) {
            memory.copy(mirror, whole);
        }
    }
}
