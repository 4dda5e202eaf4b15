package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;

/** A loss on a routing. Implementations are immutable and safe for use by several threads. */
@FunctionalInterface
public interface AuxiliaryLoss {

    /**
     * Computes the loss, coefficient included, and its gradient.
     *
     * @param routing what a router decided
     * @return value and gradients; 0 for no tokens
     * @throws IllegalArgumentException if the routing lacks what the loss needs
     */
    LossValue evaluate(Routing routing);
}
