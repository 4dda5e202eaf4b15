/**
 * The baseline that dropless layers are compared with: every expert computes the same number of rows, its capacity. Slots beyond it are dropped,
 * rows short of it are padding that is computed all the same (GShard, arXiv 2006.16668; Switch Transformers, arXiv 2101.03961; the {@code MoE} class of
 * MegaBlocks). With the capacity at the largest load nothing is dropped, and the result is that of the dropless layer.
 */
@NullMarked
package dev.dropless.moe.padded;

import org.jspecify.annotations.NullMarked;
