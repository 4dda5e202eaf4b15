package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;

/**
 * Fills matrices of many gigabytes with random numbers in moments: a million of them are made, and repeated in the back end's memory. Their number is odd, so rows and columns of
 * a matrix all begin elsewhere in them.
 */
final class RandomFill {

    private static final int NUMBERS = (1 << 20) + 7;

    /** Uniform numbers of this bound have a variance of 1. */
    private static final double BOUND = Math.sqrt(3);

    private final Kernels kernels;
    private long seed;

    RandomFill(Kernels kernels, long seed) {
        this.kernels = kernels;
        this.seed = seed;
    }

    /**
     * Fills a matrix whose rows follow each other without gaps.
     *
     * @param target in the back end's memory
     * @param deviation standard deviation of its elements
     */
    void fill(Matrix target, double deviation) {
        long elements = target.rows() * target.columns();
        if (elements == 0) {
            return;
        }
        int count = (int) Math.min(NUMBERS, elements);
        try (Arena arena = Arena.ofConfined();
                KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix numbers = scope.allocate(target.type(), 1, count);
            kernels.memory().copy(numbers(arena, target.type(), count, deviation), numbers);
            Matrix row =
                    new Matrix(target.segment(), target.type(), target.offset(), 1, elements, elements, target.space());
            for (long first = 0; first < elements; first += count) {
                long length = Math.min(count, elements - first);
                kernels.memory().copy(numbers.sliceColumns(0, length), row.sliceColumns(first, length));
            }
        }
    }

    private Matrix numbers(Arena arena, ElementType type, int count, double deviation) {
        SplittableRandom random = new SplittableRandom(seed++);
        Matrix numbers = Matrix.allocate(arena, type, 1, count);
        for (int i = 0; i < count; i++) {
            numbers.set(0, i, deviation * BOUND * (2 * random.nextDouble() - 1));
        }
        return numbers;
    }

    /** A new matrix of such numbers. */
    Matrix matrix(KernelMemory.Scope scope, ElementType type, long rows, long columns, double deviation) {
        Matrix matrix = scope.allocate(type, rows, columns);
        fill(matrix, deviation);
        return matrix;
    }
}
