package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
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

    /** Copies router and experts between layers of the same sizes, exactly where the target's type is wide enough. */
    static void copy(MoeParameters from, MoeParameters to) {
        to.routerWeight().copyFrom(from.routerWeight());
        forEach(from.experts().shape(), (part, expert, rows, columns) -> {
            Matrix values = Matrix.of(new double[Math.multiplyExact(rows, columns)], rows, columns);
            from.experts().store(part, expert, values, Transpose.N);
            to.experts().load(part, expert, values, Transpose.N);
        });
    }
}
