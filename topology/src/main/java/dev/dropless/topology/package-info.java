/**
 * Counts, bins, the slot permutation and its inverse, and the block topology of routed tokens.
 *
 * <p>Everything here is integers: no tensor data, no threads kept, no native memory. It knows none of the other
 * modules.
 */
@NullMarked
package dev.dropless.topology;

import org.jspecify.annotations.NullMarked;
