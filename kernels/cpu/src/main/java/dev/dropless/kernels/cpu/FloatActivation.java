package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;
import java.lang.foreign.MemorySegment;

/**
 * The constants of an {@link Activation} in the precision that the kernels compute with.
 *
 * @param source where they come from
 * @param table for emitted code: see {@link EmittedActivations}
 */
record FloatActivation(
        Activation source, float alpha, float gateMax, float upLimit, float upOffset, MemorySegment table) {

    Activation.Function function() {
        return source.function();
    }

    static FloatActivation of(Activation activation) {
        float alpha = (float) activation.alpha();
        float gateMax = (float) activation.gateMax();
        float upLimit = (float) activation.upLimit();
        float upOffset = (float) activation.upOffset();
        return new FloatActivation(
                activation,
                alpha,
                gateMax,
                upLimit,
                upOffset,
                EmittedActivations.table(alpha, gateMax, upLimit, upOffset));
    }
}
