package dev.dropless.cli.routing;

import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.DropReport;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.RoutingStatistics;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The statistics of a routing with, for some capacity factors, what a layer with that capacity would drop. */
public final class RoutingReport {

    private final RoutedTokens tokens;
    private final RoutingStatistics statistics;
    private final Map<Double, DropReport> drops = new LinkedHashMap<>();

    /**
     * Computes what the report needs.
     *
     * @param tokens what was routed
     * @param capacityFactors factors to count drops for, above 0
     */
    public RoutingReport(RoutedTokens tokens, List<Double> capacityFactors) {
        this.tokens = tokens;
        Routing routing = tokens.routing();
        this.statistics = RoutingStatistics.of(routing);
        // what the router chose, before it dropped anything itself
        Topology topology = Topology.of(routing.selectedIds(), routing.topK(), routing.numExperts());
        int batch = Math.max(1, routing.input().batch());
        for (double factor : capacityFactors) {
            drops.put(factor, DropReport.of(topology, CapacityPolicy.factor(factor), batch));
        }
    }

    RoutedTokens tokens() {
        return tokens;
    }

    RoutingStatistics statistics() {
        return statistics;
    }

    Map<Double, DropReport> drops() {
        return drops;
    }

    boolean hasTokenIds() {
        return tokens.routing().input().tokenIds() != null;
    }

    /** Token ids that occur most often, at most so many, the most frequent one first; ties to the lower id. */
    List<Integer> frequentIds(int limit) {
        int[] ids = tokens.routing().input().tokenIds();
        Map<Integer, Integer> counts = new LinkedHashMap<>();
        for (int id : ids == null ? new int[0] : ids) {
            counts.merge(id, 1, Integer::sum);
        }
        Comparator<Map.Entry<Integer, Integer>> byCount = Map.Entry.comparingByValue(Comparator.reverseOrder());
        return counts.entrySet().stream()
                .sorted(byCount.thenComparing(Map.Entry.comparingByKey()))
                .limit(limit)
                .map(Map.Entry::getKey)
                .toList();
    }

    /**
     * Returns the numbers as text.
     *
     * @return lines
     */
    public String text() {
        Routing routing = tokens.routing();
        int[] load = statistics.load();
        List<String> lines = new ArrayList<>();
        lines.add(
                line("%s: %,d tokens, E = %d, k = %d", tokens.title(), routing.tokens(), load.length, routing.topK()));
        lines.add(line("  load per expert            %s", Arrays.toString(load)));
        lines.add(line(
                "  idle experts               %d",
                Arrays.stream(load).filter(n -> n == 0).count()));
        lines.add(line("  coefficient of variation   %.4f", statistics.loadVariation()));
        lines.add(line(
                "  entropy of the load        %.4f of ln E = %.4f", statistics.loadEntropy(), Math.log(load.length)));
        lines.add(line("  entropy of the router      %.4f (mean over tokens)", statistics.routingEntropy()));
        lines.add(
                hasTokenIds()
                        ? line("  explained by the token id  %.1f %%", 100 * statistics.tokenIdInformation())
                        : "  explained by the token id  unknown, no token ids");
        long chosen = Arrays.stream(routing.selectedIds()).filter(id -> id >= 0).count();
        long kept = Arrays.stream(routing.expertIds()).filter(id -> id >= 0).count();
        lines.add(line("  dropped by its own router  %.2f %%", chosen == 0 ? 0 : 100.0 * (chosen - kept) / chosen));
        drops.forEach((factor, report) ->
                lines.add(line("  dropped at factor %-8s %.2f %%", factor + ":", 100 * report.droppedFraction())));
        return String.join(System.lineSeparator(), lines) + System.lineSeparator();
    }

    private static String line(String format, Object... arguments) {
        return String.format(Locale.ROOT, format, arguments);
    }

    /**
     * Returns the statistics as a JSON object.
     *
     * @return keys in a fixed order
     */
    public Map<String, @Nullable Object> json() {
        Routing routing = tokens.routing();
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("title", tokens.title());
        json.put("tokens", routing.tokens());
        json.put("num_experts", routing.numExperts());
        json.put("top_k", routing.topK());
        json.put("load", Arrays.stream(statistics.load()).boxed().toList());
        json.put("load_variation", statistics.loadVariation());
        json.put("load_entropy", statistics.loadEntropy());
        json.put("cumulative_load", list(statistics.cumulativeLoad()));
        json.put("routing_entropy", statistics.routingEntropy());
        json.put("dropped_by_position", list(statistics.droppedByPosition()));
        Map<String, @Nullable Object> dropped = new LinkedHashMap<>();
        drops.forEach((factor, report) -> dropped.put(factor.toString(), list(report.droppedByPosition())));
        json.put("dropped_by_position_at_capacity_factor", dropped);
        json.put(
                "co_activation",
                Arrays.stream(statistics.coActivation()).boxed().toList());
        if (hasTokenIds()) {
            json.put("token_id_information", statistics.tokenIdInformation());
            Map<String, @Nullable Object> shares = new LinkedHashMap<>();
            statistics.specialisationByTokenId().forEach((id, row) -> shares.put(Integer.toString(id), list(row)));
            json.put("specialisation_by_token_id", shares);
        }
        return json;
    }

    private static List<Double> list(double[] values) {
        return Arrays.stream(values).boxed().toList();
    }
}
