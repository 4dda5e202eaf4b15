package dev.dropless.moe.router;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RankingTest {

    private static final int STRIDE = 3;
    private static final int OFFSET = 2;

    /** Against the library's stable sort of boxed positions, with many ties, infinities, zeros of both signs and NaN. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 7, 8, 9, 31, 100, 1025})
    void descendingIsStableWithNanLast(int count) {
        double[] special = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 0.0, -0.0};
        Random random = new Random(count);
        double[] values = new double[OFFSET + count * STRIDE];
        for (int i = 0; i < values.length; i++) {
            int drawn = random.nextInt(12);
            values[i] = drawn < special.length ? special[drawn] : drawn;
        }
        int[] expected = IntStream.range(0, count)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -values[OFFSET + i * STRIDE]))
                .mapToInt(i -> i)
                .toArray();
        assertArrayEquals(expected, Ranking.descending(values, OFFSET, STRIDE, count));
    }
}
