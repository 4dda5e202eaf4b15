package dev.dropless.kernels.cpu;

import java.util.function.IntConsumer;

/**
 * What is not a matrix product: independent work on items (tokens, rows, experts), handed out in pieces. A subclass holds the operands of one call at a time and is
 * used again, so that a call allocates nothing.
 */
abstract class RangeTask implements IntConsumer, Pool.Reusable {

    private static final int PIECES_PER_THREAD = 4;

    final TileKernels kernels;
    private final ProductRunner runner;
    private int items;
    private int pieces;

    RangeTask(ProductRunner runner) {
        this.kernels = runner.kernels();
        this.runner = runner;
    }

    /** How many items there are. */
    abstract int items();

    /** In how many pieces to hand them out. */
    int pieces(int threads) {
        return Math.min(items(), threads * PIECES_PER_THREAD);
    }

    /** Computes all items. */
    final void run() {
        items = items();
        pieces = pieces(runner.tasks().parallelism());
        runner.tasks().run(pieces, this);
    }

    @Override
    public final void accept(int piece) {
        Scratch scratch = runner.scratches().take();
        try {
            compute((int) ((long) items * piece / pieces), (int) ((long) items * (piece + 1) / pieces), scratch);
        } finally {
            runner.scratches().give(scratch);
        }
    }

    /** Computes the items from..to-1. */
    abstract void compute(int from, int to, Scratch scratch);
}
