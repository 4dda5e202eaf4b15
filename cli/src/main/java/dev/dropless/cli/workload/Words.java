package dev.dropless.cli.workload;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A text as tokens: words in lower case, and punctuation marks one by one. Ids count up in the order of first appearance.
 *
 * @param ids token ids, in the order of the text
 * @param vocabulary the token of each id
 */
@SuppressWarnings("ArrayRecordComponent") // a plain carrier, never compared
public record Words(int[] ids, List<String> vocabulary) {

    private static final Pattern TOKEN = Pattern.compile("\\p{L}+(?:['\u2019]\\p{L}+)*|\\d+|[^\\s\\p{L}\\d]");

    /** How much of a token's vector depends on its position, so that equal words do not look all the same. */
    private static final double POSITION_SHARE = 0.3;

    /** Copies the vocabulary. */
    public Words {
        vocabulary = List.copyOf(vocabulary);
    }

    /**
     * Splits a text.
     *
     * @param text any text
     * @param limit at most so many tokens, from the beginning
     * @return the tokens
     */
    public static Words of(String text, int limit) {
        Map<String, Integer> known = new LinkedHashMap<>();
        int[] ids = new int[limit];
        int count = 0;
        for (Matcher matcher = TOKEN.matcher(text); count < limit && matcher.find(); ) {
            String word = matcher.group().toLowerCase(Locale.ROOT);
            Integer id = known.putIfAbsent(word, known.size());
            ids[count++] = id == null ? known.size() - 1 : id;
        }
        return new Words(Arrays.copyOf(ids, count), List.copyOf(known.keySet()));
    }

    /**
     * Turns the tokens into vectors of about unit variance: a seeded normal vector for each id, and a smaller one for each position.
     *
     * @param hiddenSize H
     * @param seed same seed, same vectors
     * @return [tokens, H], row-major
     */
    public float[] embed(int hiddenSize, long seed) {
        float[] table = Gaussian.values(Math.multiplyExact(vocabulary.size(), hiddenSize), seed);
        SplittableRandom positions = new SplittableRandom(seed + 1);
        double share = Math.sqrt(1 - POSITION_SHARE * POSITION_SHARE);
        float[] x = new float[Math.multiplyExact(ids.length, hiddenSize)];
        for (int t = 0; t < ids.length; t++) {
            for (int h = 0; h < hiddenSize; h++) {
                double own = table[ids[t] * hiddenSize + h];
                x[t * hiddenSize + h] = (float) (share * own + POSITION_SHARE * positions.nextGaussian());
            }
        }
        return x;
    }
}
