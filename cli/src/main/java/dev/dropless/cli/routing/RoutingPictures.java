package dev.dropless.cli.routing;

import dev.dropless.cli.pictures.Charts;
import dev.dropless.cli.pictures.HeatMap;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.RoutingStatistics;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.stream.IntStream;

/** The pictures of a routing, as PNG files by name. */
public final class RoutingPictures {

    private static final int POINTS = 64;
    private static final int TOKENS = 32;

    private final RoutingReport report;
    private final RoutingStatistics statistics;
    private final String title;

    private RoutingPictures(RoutingReport report) {
        this.report = report;
        this.statistics = report.statistics();
        Routing routing = report.tokens().routing();
        this.title = String.format(
                Locale.ROOT,
                ", %s: T = %,d, E = %d, k = %d",
                report.tokens().title(),
                routing.tokens(),
                routing.numExperts(),
                routing.topK());
    }

    /**
     * Draws all pictures that the routing has data for; that by token id needs token ids.
     *
     * @param report statistics of one token or more
     * @return files by name
     */
    public static Map<String, byte[]> draw(RoutingReport report) {
        RoutingPictures pictures = new RoutingPictures(report);
        Map<String, byte[]> files = new LinkedHashMap<>();
        files.put("load.png", pictures.load());
        files.put("cumulative-load.png", pictures.cumulativeLoad());
        files.put("load-variation.png", pictures.loadVariation());
        files.put("entropy.png", pictures.entropy());
        files.put("co-activation.png", pictures.coActivation());
        files.put("drops.png", pictures.drops());
        if (report.hasTokenIds()) {
            files.put("specialisation.png", pictures.specialisation());
        }
        return files;
    }

    private byte[] load() {
        Map<String, Integer> capacities = new LinkedHashMap<>();
        report.drops().forEach((factor, drops) -> capacities.put("capacity factor " + factor, drops.capacity()));
        return Charts.loads("Load" + title, statistics.load(), capacities);
    }

    private byte[] cumulativeLoad() {
        double[] shares = percent(statistics.cumulativeLoad());
        double[] even = new double[shares.length];
        Arrays.setAll(even, n -> 100.0 * (n + 1) / even.length);
        Map<String, double[]> lines = new LinkedHashMap<>();
        lines.put("routed", shares);
        lines.put("even load", even);
        return Charts.lines(
                "Cumulative load" + title, "busiest experts", "(token, choice) pairs they compute, %", 1, lines);
    }

    private byte[] loadVariation() {
        return Charts.lines(
                "Coefficient of variation of the load so far" + title,
                "tokens routed",
                "standard deviation / mean",
                1,
                Map.of("load of all tokens so far", statistics.cumulativeLoadVariation()));
    }

    private byte[] entropy() {
        double[] entropies = statistics.routingEntropyByToken();
        int window = Math.max(1, Math.ceilDiv(entropies.length, POINTS));
        double[] means = new double[entropies.length];
        for (int i = 0; i < means.length; i++) {
            int from = Math.max(0, i - window / 2);
            int to = Math.min(means.length, from + window);
            means[i] = Arrays.stream(entropies, from, to).average().orElse(0);
        }
        double[] even = new double[means.length];
        Arrays.fill(even, Math.log(report.tokens().routing().numExperts()));
        Map<String, double[]> lines = new LinkedHashMap<>();
        lines.put(String.format(Locale.ROOT, "mean of %d tokens", window), means);
        lines.put("all experts alike, ln E", even);
        return Charts.lines("Entropy of the router's scores" + title, "token", "nats", 0, lines);
    }

    private byte[] coActivation() {
        int experts = report.tokens().routing().numExperts();
        long[] pairs = statistics.coActivation();
        double[][] shares = new double[experts][experts];
        for (int row = 0; row < experts; row++) {
            double own = pairs[row * experts + row];
            for (int column = 0; column < experts; column++) {
                // the diagonal is 1 by definition and would pale the others
                shares[row][column] = own == 0 || row == column ? 0 : pairs[row * experts + column] / own;
            }
        }
        List<String> names =
                IntStream.range(0, experts).mapToObj(Integer::toString).toList();
        return new HeatMap(
                        "Co-activation" + title,
                        "share that also goes to expert (diagonal left out)",
                        "of the tokens of expert",
                        names,
                        names,
                        shares)
                .png();
    }

    private byte[] drops() {
        Map<String, double[]> lines = new LinkedHashMap<>();
        double[] own = statistics.droppedByPosition();
        if (Arrays.stream(own).anyMatch(share -> share > 0)) {
            lines.put("its own router", own);
        }
        report.drops().forEach((factor, drops) -> lines.put("capacity factor " + factor, drops.droppedByPosition()));
        return Charts.drops("Dropped" + title, lines, Math.max(1, Math.ceilDiv(own.length, POINTS)));
    }

    private byte[] specialisation() {
        SortedMap<Integer, double[]> shares = statistics.specialisationByTokenId();
        List<Integer> ids = report.frequentIds(TOKENS);
        double[][] rows = ids.stream().map(shares::get).toArray(double[][]::new);
        int experts = report.tokens().routing().numExperts();
        return new HeatMap(
                        "Specialisation" + title,
                        "share of its occurrences that go to expert",
                        "token, most frequent first",
                        IntStream.range(0, experts).mapToObj(Integer::toString).toList(),
                        ids.stream().map(id -> report.tokens().token(id)).toList(),
                        rows)
                .png();
    }

    private static double[] percent(double[] shares) {
        return Arrays.stream(shares).map(share -> 100 * share).toArray();
    }
}
