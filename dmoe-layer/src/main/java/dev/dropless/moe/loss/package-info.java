/**
 * Auxiliary losses of mixture-of-experts routers, as values with gradients. Nothing is kept between calls: several
 * layers are passed as a list, coefficients are explicit, and counts of experts are constants for every gradient. A
 * batch without tokens has loss 0.
 */
@NullMarked
package dev.dropless.moe.loss;

import org.jspecify.annotations.NullMarked;
