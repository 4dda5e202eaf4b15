package dev.dropless.cli.demo;

import dev.dropless.cli.comparison.LayerShape;
import java.nio.file.Path;
import java.util.List;

/**
 * What to demonstrate.
 *
 * @param text file to route
 * @param layerCase case file of one checkpoint layer with stored results
 * @param tokens at most so many tokens of the text
 * @param shape sizes of the layer
 * @param factors capacity factors of the padded layer
 * @param runs measured rounds
 * @param seed seed of embedding, router and weights
 */
public record DemoOptions(
        Path text, Path layerCase, int tokens, LayerShape shape, List<Double> factors, int runs, long seed) {

    /** Tokens that the float64 reference computes too. */
    static final int REFERENCE_TOKENS = 48;

    /** Copies the factors. */
    public DemoOptions {
        factors = List.copyOf(factors);
    }
}
