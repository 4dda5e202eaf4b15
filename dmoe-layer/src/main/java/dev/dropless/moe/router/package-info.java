/**
 * Routers: from logits to expert ids and combine weights, and the exact gradient back.
 *
 * <p>A router is put together from a few options that do not know each other: {@link dev.dropless.moe.router.Gating}
 * (logits to scores), {@link dev.dropless.moe.router.Selection} (scores to experts), {@link
 * dev.dropless.moe.router.CapacityRule} (which choices are dropped, if any) and {@link
 * dev.dropless.moe.router.WeightRule} (scores to combine weights); {@link dev.dropless.moe.router.ScoreRouter} joins
 * them. All arithmetic is in double precision, in a fixed order, on the calling thread.
 */
@NullMarked
package dev.dropless.moe.router;

import org.jspecify.annotations.NullMarked;
