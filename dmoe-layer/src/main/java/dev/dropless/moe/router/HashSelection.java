package dev.dropless.moe.router;

import java.util.Arrays;
import java.util.Comparator;

/**
 * Experts looked up by token id: row {@code tokenId} of a fixed table, in table order (Roller et al. 2021, arXiv
 * 2106.04426). An expert may stand twice in a row; its score then counts in both slots.
 */
public final class HashSelection implements Selection {

    private final int[] table;
    private final int vocabulary;
    private final int topK;

    /**
     * Wraps a table.
     *
     * @param table [vocabulary, k], expert ids; copied
     * @param vocabulary number of token ids, 1 or more
     * @param topK k, 1 or more
     * @throws IllegalArgumentException if the table's length is not vocabulary * k or an id is negative
     */
    public HashSelection(int[] table, int vocabulary, int topK) {
        Arguments.atLeast("vocabulary", vocabulary, 1);
        Arguments.atLeast("topK", topK, 1);
        Arguments.length("table", table.length, (long) vocabulary * topK, "vocabulary x topK");
        for (int i = 0; i < table.length; i++) {
            Arguments.atLeast("table[" + i + "]", table[i], 0);
        }
        this.table = table.clone();
        this.vocabulary = vocabulary;
        this.topK = topK;
    }

    /**
     * A table of k different experts for each token id, drawn uniformly (section 3 of the paper, random hash).
     *
     * @param vocabulary number of token ids, 1 or more
     * @param topK k, 1 to E
     * @param numExperts E
     * @param seed any value
     * @return the selection
     * @throws IllegalArgumentException if a number is out of range
     */
    public static HashSelection random(int vocabulary, int topK, int numExperts, long seed) {
        Arguments.atLeast("vocabulary", vocabulary, 1);
        checkTopK(topK, numExperts);
        var table = new int[Math.multiplyExact(vocabulary, topK)];
        RandomSelection.fill(table, vocabulary, topK, numExperts, seed);
        return new HashSelection(table, vocabulary, topK);
    }

    /**
     * A table that balances the load of a known text: token ids in descending frequency, ties in order of id, each go
     * to the k experts with the smallest load so far, ties to the lower expert (section 3 of the paper, balanced
     * assignment).
     *
     * @param frequencies how often each token id occurs, [vocabulary], 0 or more
     * @param topK k, 1 to E
     * @param numExperts E
     * @return the selection
     * @throws IllegalArgumentException if a number is out of range
     */
    public static HashSelection balanced(long[] frequencies, int topK, int numExperts) {
        int vocabulary = Arguments.atLeast("frequencies.length", frequencies.length, 1);
        checkTopK(topK, numExperts);
        int[] byFrequency = Arrays.stream(Ranking.identity(vocabulary))
                .boxed()
                .sorted(Comparator.comparingLong(id -> -frequencies[id]))
                .mapToInt(Integer::intValue)
                .toArray();
        var table = new int[Math.multiplyExact(vocabulary, topK)];
        var room = new double[numExperts];
        for (int id : byFrequency) {
            if (frequencies[id] < 0) {
                throw Arguments.mismatch("frequencies[" + id + "]", "at least 0", frequencies[id]);
            }
            TopKSelection.best(room, 0, numExperts, table, id * topK, topK);
            for (int j = 0; j < topK; j++) {
                room[table[id * topK + j]] -= frequencies[id];
            }
        }
        return new HashSelection(table, vocabulary, topK);
    }

    /**
     * The table.
     *
     * @return a copy, [vocabulary, k]
     */
    public int[] table() {
        return table.clone();
    }

    private static void checkTopK(int topK, int numExperts) {
        Arguments.atLeast("topK", topK, 1);
        if (topK > numExperts) {
            throw Arguments.mismatch("topK", "at most numExperts = " + numExperts, topK);
        }
    }

    @Override
    public void select(Candidates candidates, int[] expertIds) {
        if (candidates.topK() != topK) {
            throw Arguments.mismatch("topK", topK + " as in the hash table", candidates.topK());
        }
        int[] tokenIds = candidates.input().tokenIds();
        if (tokenIds == null) {
            throw Arguments.mismatch("tokenIds", "one id per token for hash routing", "none");
        }
        int experts = candidates.input().numExperts();
        for (int token = 0; token < tokenIds.length; token++) {
            int id = tokenIds[token];
            if (id < 0 || id >= vocabulary) {
                throw Arguments.mismatch("tokenIds[" + token + "]", "0 to " + (vocabulary - 1), id);
            }
            for (int j = 0; j < topK; j++) {
                int expert = table[id * topK + j];
                if (expert >= experts) {
                    throw Arguments.mismatch("hash table row " + id, "experts 0 to " + (experts - 1), expert);
                }
                expertIds[token * topK + j] = expert;
            }
        }
    }
}
