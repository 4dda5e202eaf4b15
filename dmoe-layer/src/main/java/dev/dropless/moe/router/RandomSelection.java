package dev.dropless.moe.router;

import java.util.SplittableRandom;

/**
 * k different experts for each token position, drawn uniformly and independent of the scores: the random routing of
 * THOR (Zuo et al. 2021, arXiv 2110.04260) and a null model for routing statistics.
 *
 * @param seed the same seed and T give the same experts
 */
public record RandomSelection(long seed) implements Selection {

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        fill(
                expertIds,
                candidates.input().tokens(),
                candidates.topK(),
                candidates.input().numExperts(),
                seed);
    }

    /** Writes rows of k different ids below numExperts. */
    static void fill(int[] ids, int rows, int topK, int numExperts, long seed) {
        var random = new SplittableRandom(seed);
        int[] deck = Ranking.identity(numExperts);
        for (int row = 0; row < rows; row++) {
            for (int j = 0; j < topK; j++) {
                int other = random.nextInt(j, numExperts);
                int id = deck[other];
                deck[other] = deck[j];
                deck[j] = id;
                ids[row * topK + j] = id;
            }
        }
    }
}
