package dev.dropless.moe;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** What receives a gradient. Whatever is left out is frozen, and the products that only its gradient needs are not computed. */
public enum Trainable {
    /** Router weight and bias. The selection bias never has a gradient. */
    ROUTER,
    /** Gate and up projections of the routed experts, with their biases. */
    EXPERTS_UP,
    /** Down projections of the routed experts, with their biases. */
    EXPERTS_DOWN,
    /** All weights of the shared expert, its sigmoid gate included. */
    SHARED,
    /** The two latent projections. */
    LATENT,
    /** The output bias. */
    OUTPUT_BIAS,
    /** The layer's input. */
    INPUT;

    /**
     * Returns everything: all parameters and the input.
     *
     * @return an immutable set
     */
    public static Set<Trainable> all() {
        return Collections.unmodifiableSet(EnumSet.allOf(Trainable.class));
    }
}
