package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import java.util.List;

/** Argument checks whose messages name argument, expected and found. */
final class Checks {

    private Checks() {}

    static double coefficient(String argument, double value) {
        if (!Double.isFinite(value)) {
            throw mismatch(argument, "a finite number", value);
        }
        return value;
    }

    static void sameSizes(List<Routing> layers, boolean tokensToo) {
        for (int i = 1; i < layers.size(); i++) {
            Routing first = layers.getFirst();
            Routing other = layers.get(i);
            same("numExperts of layer " + i, first.numExperts(), other.numExperts());
            same("topK of layer " + i, first.topK(), other.topK());
            if (tokensToo) {
                same("tokens of layer " + i, first.tokens(), other.tokens());
            }
        }
    }

    private static void same(String argument, int expected, int found) {
        if (expected != found) {
            throw mismatch(argument, expected + " as in layer 0", found);
        }
    }

    static IllegalArgumentException mismatch(String argument, Object expected, Object found) {
        return new IllegalArgumentException("%s: expected %s, found %s".formatted(argument, expected, found));
    }
}
