package dev.dropless.cli.comparison;

import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.padded.DropReport;

/**
 * One way to compute the layer.
 *
 * @param name how it is called in tables
 * @param layer computes it
 * @param report what it drops and pads
 */
public record Contender(String name, MoeLayer layer, DropReport report) {

    /** Forward has one product of this size, backward two. */
    private static final int PASSES = 3;

    /**
     * Returns the useful work of a forward and backward pass.
     *
     * @return floating-point operations for rows that hold a token
     */
    public double usefulFlops() {
        ExpertShape shape = layer.config().experts();
        return (double) PASSES * report.usefulFlops(shape);
    }

    /**
     * Returns the useful rate.
     *
     * @param nanos time of a forward and backward pass
     * @return 10^9 useful floating-point operations per second
     */
    public double usefulGflops(long nanos) {
        return usefulFlops() / nanos;
    }
}
