package dev.dropless.cli.demo;

import dev.dropless.cli.comparison.Agreement;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.comparison.Timing;
import dev.dropless.cli.workload.Words;
import dev.dropless.moe.router.RoutingStatistics;
import dev.dropless.topology.Topology;
import java.util.List;

/**
 * What the demonstration found.
 *
 * @param options what was demonstrated
 * @param backend name and description of the back end
 * @param words the text's tokens
 * @param topology which expert computes what
 * @param statistics of the routing
 * @param agreements correctness, row by row
 * @param contenders dropless, padded without drop, then one for each capacity factor
 * @param timings of the contenders, in order
 */
public record DemoResults(
        DemoOptions options,
        String backend,
        Words words,
        Topology topology,
        RoutingStatistics statistics,
        List<Agreement> agreements,
        List<Contender> contenders,
        List<Timing> timings) {

    /** Copies the lists. */
    public DemoResults {
        agreements = List.copyOf(agreements);
        contenders = List.copyOf(contenders);
        timings = List.copyOf(timings);
    }

    /**
     * Tells whether everything agreed.
     *
     * @return true if every row of the correctness table passed
     */
    public boolean passed() {
        return agreements.stream().allMatch(Agreement::passed);
    }

    /**
     * Returns the contenders that drop.
     *
     * @return one for each capacity factor
     */
    public List<Contender> capacities() {
        return contenders.subList(2, contenders.size());
    }
}
