package dev.dropless.blocksparse.contract;

import dev.dropless.topology.Topology;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/** Expert ids with a name for messages. */
record TopologyCase(String name, int numExperts, int topK, int[] ids) {

    static Stream<TopologyCase> all() {
        return Stream.of(
                distinct("random", 13, 4, 2),
                new TopologyCase("empty experts", 8, 2, new int[] {1, 6, 1, 6, 6, 1, 1, 6, 1, 6}),
                new TopologyCase("all to one", 5, 1, filled(33, 3)),
                distinct("k = E", 7, 3, 3),
                new TopologyCase("no tokens", 3, 2, new int[0]),
                new TopologyCase("one token", 6, 2, new int[] {4, 1}),
                new TopologyCase("one expert", 1, 1, filled(21, 0)),
                new TopologyCase(
                        "unassigned slots", 4, 3, new int[] {0, -1, 2, -1, -1, -1, 3, 0, -1, -1, 2, 3, 0, 2, 3}),
                new TopologyCase("nothing assigned", 2, 2, filled(6, -1)),
                new TopologyCase("same expert twice", 3, 2, new int[] {1, 1, 0, 1, 2, 2}),
                skewed());
    }

    /** The most loaded of all: 90 tokens, the first expert has every one of them. */
    private static TopologyCase skewed() {
        Random random = new Random(6);
        int[] ids = new int[180];
        for (int t = 0; t < 90; t++) {
            ids[2 * t + 1] = 1 + (int) (9 * random.nextDouble() * random.nextDouble());
        }
        return new TopologyCase("skewed", 10, 2, ids);
    }

    static TopologyCase distinct(String name, int tokens, int numExperts, int topK) {
        Random random = new Random(tokens);
        int[] ids = new int[tokens * topK];
        for (int t = 0; t < tokens; t++) {
            int first = random.nextInt(numExperts);
            int step = 1 + random.nextInt(Math.max(1, numExperts / topK));
            for (int j = 0; j < topK; j++) {
                ids[t * topK + j] = (first + j * (topK == numExperts ? 1 : step)) % numExperts;
            }
        }
        return new TopologyCase(name, numExperts, topK, ids);
    }

    private static int[] filled(int length, int id) {
        int[] ids = new int[length];
        Arrays.fill(ids, id);
        return ids;
    }

    int tokens() {
        return ids.length / topK;
    }

    Topology topology() {
        return Topology.of(ids, topK, numExperts);
    }

    @Override
    public String toString() {
        return name;
    }
}
