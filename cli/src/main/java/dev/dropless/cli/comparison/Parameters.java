package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeParameters;

/** Walks over a layer's parameters. */
final class Parameters {

    private Parameters() {}

    /** Is called for every matrix of the experts. */
    @FunctionalInterface
    interface Visitor {
        void visit(WeightPart part, int expert, int rows, int columns);
    }

    static void forEach(ExpertShape shape, Visitor visitor) {
        for (WeightPart part : WeightPart.values()) {
            for (int expert = 0; shape.has(part) && expert < shape.numExperts(); expert++) {
                visitor.visit(part, expert, shape.rows(part), shape.columns(part));
            }
        }
    }

    /** Returns the elements of a matrix of any back end, row by row. */
    static double[] read(KernelMemory memory, Matrix matrix) {
        double[] values = new double[Math.toIntExact(Math.multiplyExact(matrix.rows(), matrix.columns()))];
        memory.copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    /** Copies router and experts between layers of the same sizes, exactly where the target's type is wide enough. */
    static void copy(Kernels source, MoeParameters from, Kernels target, MoeParameters to) {
        Matrix router = from.routerWeight();
        target.memory()
                .copy(Matrix.of(read(source.memory(), router), router.rows(), router.columns()), to.routerWeight());
        forEach(from.experts().shape(), (part, expert, rows, columns) -> {
            Matrix values = Matrix.of(new double[Math.multiplyExact(rows, columns)], rows, columns);
            from.experts().store(part, expert, values, Transpose.N);
            to.experts().load(part, expert, values, Transpose.N);
        });
    }
}
