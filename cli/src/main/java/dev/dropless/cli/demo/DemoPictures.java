package dev.dropless.cli.demo;

import dev.dropless.cli.comparison.ComparisonTables;
import dev.dropless.cli.comparison.Contender;
import dev.dropless.cli.pictures.Charts;
import dev.dropless.cli.pictures.TopologyPicture;
import dev.dropless.topology.MoeBlockPattern;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** The demonstration's pictures. */
public final class DemoPictures {

    /** File name of the block-diagonal matrix. */
    public static final String TOPOLOGY = "topology.png";

    /** File name of the loads. */
    public static final String LOAD = "load.png";

    /** File name of the drop rates. */
    public static final String DROPS = "drops.png";

    private static final int BLOCK_SIZE = 128;
    private static final int POINTS = 32;

    private DemoPictures() {}

    /**
     * Draws.
     *
     * @param results what to draw
     * @return PNG files by name
     */
    public static Map<String, byte[]> draw(DemoResults results) {
        String name = results.options().text().getFileName().toString();
        int tokens = results.topology().tokens();
        int topK = results.topology().topK();
        Map<String, Integer> capacities = new LinkedHashMap<>();
        Map<String, double[]> drops = new LinkedHashMap<>();
        for (Contender contender : results.capacities()) {
            String factor = contender.name().replace("padded, factor", "capacity factor");
            capacities.put(factor, contender.report().capacity());
            drops.put(
                    "%s: %s"
                            .formatted(
                                    factor,
                                    ComparisonTables.percent(contender.report().droppedFraction())),
                    contender.report().droppedByPosition());
        }
        drops.put("dropless: 0.0 %", new double[tokens]);
        Map<String, byte[]> pictures = new LinkedHashMap<>();
        pictures.put(
                TOPOLOGY,
                new TopologyPicture(
                                results.topology(),
                                MoeBlockPattern.exact(
                                        results.topology(),
                                        BLOCK_SIZE,
                                        results.options().shape().ffnHiddenSize()),
                                String.format(
                                        Locale.ROOT,
                                        "What the experts compute for %s: T = %,d tokens, k = %d",
                                        name,
                                        tokens,
                                        topK))
                        .png());
        pictures.put(
                LOAD,
                Charts.loads(
                        "Load of each expert, and what a capacity allows",
                        results.topology().tokensPerExpert(),
                        capacities));
        pictures.put(
                DROPS,
                Charts.drops("Where in the sequence a capacity drops tokens", drops, Math.max(1, tokens / POINTS)));
        return pictures;
    }
}
