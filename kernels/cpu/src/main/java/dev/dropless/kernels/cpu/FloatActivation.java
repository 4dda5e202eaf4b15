package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;

/** The constants of an {@link Activation} in the precision that the kernels compute with. */
record FloatActivation(Activation.Function function, float alpha, float gateMax, float upLimit, float upOffset) {

    static FloatActivation of(Activation activation) {
        return new FloatActivation(
                activation.function(),
                (float) activation.alpha(),
                (float) activation.gateMax(),
                (float) activation.upLimit(),
                (float) activation.upOffset());
    }
}
