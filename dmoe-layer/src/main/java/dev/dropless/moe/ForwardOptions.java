package dev.dropless.moe;

import dev.dropless.moe.router.RouterNoise;
import org.jspecify.annotations.Nullable;

/**
 * What a layer is told about a batch beside its tokens.
 *
 * @param batch number of sequences the tokens form, token = sequence number * sequence length + position; 1 or more, dividing T
 * @param tokenIds vocabulary id of every token [T], for hash routing, or null; shared, not copied
 * @param training whether training-only rules apply: input jitter, router noise, random choices, capacities of training
 * @param noise where random numbers come from; the same source gives the same numbers
 */
@SuppressWarnings("ArrayRecordComponent") // token ids are data of a batch, never compared
public record ForwardOptions(int batch, int @Nullable [] tokenIds, boolean training, RouterNoise noise) {

    /**
     * Checks the batch.
     *
     * @throws IllegalArgumentException if {@code batch} is below 1
     */
    public ForwardOptions {
        if (batch < 1) {
            throw new IllegalArgumentException("batch: expected at least 1, found " + batch);
        }
    }

    /**
     * Options of evaluation: one sequence, no token ids, no random numbers.
     *
     * @return the options
     */
    public static ForwardOptions evaluation() {
        return new ForwardOptions(1, null, false, RouterNoise.none());
    }

    /**
     * Options of training: one sequence, no token ids.
     *
     * @param noise another source for every layer and step
     * @return the options
     */
    public static ForwardOptions training(RouterNoise noise) {
        return new ForwardOptions(1, null, true, noise);
    }

    /**
     * The same with another number of sequences.
     *
     * @param value number of sequences
     * @return new options
     */
    public ForwardOptions withBatch(int value) {
        return new ForwardOptions(value, tokenIds, training, noise);
    }

    /**
     * The same with token ids.
     *
     * @param value vocabulary id of every token
     * @return new options
     */
    public ForwardOptions withTokenIds(int[] value) {
        return new ForwardOptions(batch, value, training, noise);
    }
}
