package dev.dropless.moe.router;

import java.util.Arrays;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a routing looks like, as plain values. All are computed from the routing given; nothing is collected over time.
 */
public final class RoutingStatistics {

    private final Routing routing;

    private RoutingStatistics(Routing routing) {
        this.routing = routing;
    }

    /**
     * Statistics of one routing.
     *
     * @param routing the routing
     * @return a view that computes on request
     */
    public static RoutingStatistics of(Routing routing) {
        return new RoutingStatistics(routing);
    }

    /**
     * Slots each expert computes.
     *
     * @return a new array [E]
     */
    public int[] load() {
        return routing.tokensPerExpert();
    }

    /**
     * Population standard deviation of the load over its mean.
     *
     * @return 0 for an even load, sqrt(E - 1) if one expert computes everything, 0 if nothing is computed
     */
    public double loadVariation() {
        int[] load = load();
        double mean = Arrays.stream(load).average().orElse(0);
        if (mean == 0) {
            return 0;
        }
        double squares = 0;
        for (int count : load) {
            squares += (count - mean) * (count - mean);
        }
        return Math.sqrt(squares / load.length) / mean;
    }

    /**
     * Entropy of the load as a distribution over experts.
     *
     * @return nats, from 0 (one expert) to ln E (even); 0 if nothing is computed
     */
    public double loadEntropy() {
        return entropy(Arrays.stream(load()).asDoubleStream().toArray(), 0, routing.numExperts());
    }

    /**
     * Mean over tokens of the entropy of the token's scores, divided by their sum: how sure the router is.
     *
     * @return nats, from 0 to ln E; 0 for no tokens
     */
    public double routingEntropy() {
        return Arrays.stream(routingEntropyByToken()).average().orElse(0);
    }

    /**
     * Entropy of each token's scores, divided by their sum.
     *
     * @return nats, a new array [T], each from 0 to ln E
     */
    public double[] routingEntropyByToken() {
        var entropies = new double[routing.tokens()];
        for (int token = 0; token < entropies.length; token++) {
            entropies[token] = entropy(routing.scores(), token * routing.numExperts(), routing.numExperts());
        }
        return entropies;
    }

    /**
     * Share of all computed slots that the n busiest experts compute, for every n.
     *
     * @return a new array [E], ascending to 1; zeros if nothing is computed
     */
    public double[] cumulativeLoad() {
        int[] load = load();
        Arrays.sort(load);
        double total = Arrays.stream(load).asLongStream().sum();
        var shares = new double[load.length];
        long sum = 0;
        for (int n = 0; n < load.length; n++) {
            sum += load[load.length - 1 - n];
            shares[n] = total == 0 ? 0 : sum / total;
        }
        return shares;
    }

    /**
     * {@link #loadVariation} of the tokens up to each one: how the balance evens out along the batch.
     *
     * @return a new array [T], the last element being that of all tokens
     */
    public double[] cumulativeLoadVariation() {
        int experts = routing.numExperts();
        int k = routing.topK();
        var load = new long[experts];
        var variations = new double[routing.tokens()];
        double slots = 0;
        double squares = 0;
        for (int token = 0; token < variations.length; token++) {
            for (int slot = token * k; slot < (token + 1) * k; slot++) {
                int expert = routing.expertIds()[slot];
                if (expert >= 0) {
                    squares += 2 * load[expert]++ + 1; // (n + 1)^2 - n^2
                    slots++;
                }
            }
            // variance / mean^2 = E * sum of squares / sum^2 - 1
            variations[token] = slots == 0 ? 0 : Math.sqrt(Math.max(0, experts * squares / (slots * slots) - 1));
        }
        return variations;
    }

    private static double entropy(double[] masses, int offset, int count) {
        double total = 0;
        for (int i = offset; i < offset + count; i++) {
            total += masses[i];
        }
        double entropy = 0;
        for (int i = offset; i < offset + count; i++) {
            if (masses[i] != 0) {
                double share = masses[i] / total;
                entropy -= share * Math.log(share);
            }
        }
        return entropy;
    }

    /**
     * Share of the choices at each position of a sequence that were dropped, over all sequences.
     *
     * @return a new array [S], each from 0 to 1; 0 where nothing was chosen
     */
    public double[] droppedByPosition() {
        int sequence = routing.input().sequence();
        var chosen = new int[sequence];
        var dropped = new double[sequence];
        for (int slot = 0; slot < routing.expertIds().length; slot++) {
            int position = slot / routing.topK() % sequence;
            if (routing.selectedIds()[slot] >= 0) {
                chosen[position]++;
                dropped[position] += routing.expertIds()[slot] < 0 ? 1 : 0;
            }
        }
        for (int position = 0; position < sequence; position++) {
            dropped[position] /= Math.max(chosen[position], 1);
        }
        return dropped;
    }

    /**
     * How many tokens are computed by both experts of a pair (OLMoE, arXiv 2409.02060, section 5.2, where counts are
     * divided by the diagonal).
     *
     * @return a new array [E, E], symmetric; the diagonal counts the tokens of one expert
     */
    public long[] coActivation() {
        int experts = routing.numExperts();
        int k = routing.topK();
        int[] ids = routing.expertIds();
        var pairs = new long[Math.multiplyExact(experts, experts)];
        for (int slot = 0; slot < ids.length; slot++) {
            int first = slot / k * k;
            for (int other = first; other < first + k; other++) {
                if (ids[slot] >= 0 && ids[other] >= 0) {
                    pairs[ids[slot] * experts + ids[other]]++;
                }
            }
        }
        return pairs;
    }

    /**
     * Share of the occurrences of a token id that reach each expert (vocabulary specialisation, OLMoE, arXiv
     * 2409.02060, section 5.4).
     *
     * @return from each token id that occurs to [E] shares, in ascending order of ids
     * @throws IllegalArgumentException if the routing's input has no token ids
     */
    public SortedMap<Integer, double[]> specialisationByTokenId() {
        int[] tokenIds = tokenIds();
        int experts = routing.numExperts();
        var counts = new TreeMap<Integer, double[]>();
        for (int token = 0; token < tokenIds.length; token++) {
            // one place more than experts: how often the id occurs
            double[] row = counts.computeIfAbsent(tokenIds[token], id -> new double[experts + 1]);
            row[experts]++;
            for (int slot = token * routing.topK(); slot < (token + 1) * routing.topK(); slot++) {
                int expert = routing.expertIds()[slot];
                if (expert >= 0) {
                    row[expert]++;
                }
            }
        }
        counts.replaceAll((id, row) -> shares(row, experts));
        return counts;
    }

    private static double[] shares(double[] counts, int experts) {
        double[] shares = Arrays.copyOf(counts, experts);
        for (int e = 0; e < experts; e++) {
            shares[e] /= counts[experts];
        }
        return shares;
    }

    /**
     * Mutual information of token id and expert over all computed slots, divided by the entropy of the load: how much
     * of the choice the token id alone explains.
     *
     * @return from 0 (independent) to 1 (the token id decides); 0 if the load has no entropy
     * @throws IllegalArgumentException if the routing's input has no token ids
     */
    public double tokenIdInformation() {
        int[] tokenIds = tokenIds();
        var counts = new TreeMap<Integer, double[]>();
        double slots = 0;
        for (int slot = 0; slot < routing.expertIds().length; slot++) {
            int expert = routing.expertIds()[slot];
            if (expert >= 0) {
                counts.computeIfAbsent(tokenIds[slot / routing.topK()], id -> new double[routing.numExperts()])[
                        expert]++;
                slots++;
            }
        }
        double conditional = 0;
        for (double[] row : counts.values()) {
            conditional += Arrays.stream(row).sum() / slots * entropy(row, 0, row.length);
        }
        double load = loadEntropy();
        return load == 0 ? 0 : Math.max(0, 1 - conditional / load);
    }

    private int[] tokenIds() {
        int[] ids = routing.input().tokenIds();
        if (ids == null) {
            throw Arguments.mismatch("tokenIds", "one id per token", "none");
        }
        return ids;
    }
}
