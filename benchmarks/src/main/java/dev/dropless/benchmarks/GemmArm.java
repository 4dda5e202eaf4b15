package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;

/** A dense product by some library. */
public final class GemmArm implements Arm {

    /** C = A B. */
    public interface Gemm extends AutoCloseable {

        /**
         * Computes.
         *
         * @param a left operand
         * @param b right operand
         * @param c overwritten
         */
        void multiply(Matrix a, Matrix b, Matrix c);

        /**
         * Says what computes.
         *
         * @return one line
         */
        String description();

        @Override
        void close();
    }

    private final Arena arena = Arena.ofShared();
    private final GemmTask task;
    private final Gemm gemm;
    private final Matrix a;
    private final Matrix b;
    private final Matrix c;

    /**
     * Makes the operands.
     *
     * @param task sizes
     * @param gemm computes; closed with this
     */
    public GemmArm(GemmTask task, Gemm gemm) {
        this.task = task;
        this.gemm = gemm;
        a = task.newA(arena);
        b = task.newB(arena);
        c = Matrix.allocate(arena, ElementType.F32, task.m(), task.n());
    }

    @Override
    public Object run() {
        gemm.multiply(a, b, c);
        return c;
    }

    @Override
    public double check() {
        c.fill(Double.NaN);
        run();
        return task.check(c);
    }

    @Override
    public String description() {
        return gemm.description();
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        gemm.close();
        arena.close();
    }
}
